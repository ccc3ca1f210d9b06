"""Notice that a model repeats itself without end, as small ones do."""

MIN_UNIT, MAX_UNIT = 12, 400
"""Characters of what is repeated; shorter units occur in tables and rulers."""

REPEATS = 4
"""So many times in a row it must be written."""

CHECK_EVERY = 40
"""Characters between two checks."""


class RepetitionDetector:
    """Detects a text that ends in the same passage several times in a row."""

    def __init__(self) -> None:
        self._text = ""
        self._checked = 0

    def add(self, piece: str) -> bool:
        """Add the next piece of the text; return whether it repeats itself."""
        self._text = (self._text + piece)[-MAX_UNIT * REPEATS :]
        self._checked += len(piece)
        if self._checked < CHECK_EVERY:
            return False
        self._checked = 0
        return is_repeating(self._text)


def is_repeating(text: str) -> bool:
    """Return whether a text ends in the same passage several times in a row."""
    for unit in range(MIN_UNIT, min(MAX_UNIT, len(text) // REPEATS) + 1):
        last = text[-unit:]
        if len(set(last)) > 4 and text.endswith(last * REPEATS):
            return True
    return False
