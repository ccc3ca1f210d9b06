"""Recognise that a model repeats itself, as small models do until their tokens are used up."""

import re

from allma_server.answering.sentences import SENTENCE_END

_TAIL = 800
_CHECK_EVERY = 40
"""Characters between two checks: a check takes much longer than a token's other handling."""
_SHORT_LOOP = re.compile(r"(.{2,80}?)\1{7,}\Z", re.S)
"""A piece of up to 80 characters, eight times in a row."""
_MIN_LOOP = 160
_LAST_SENTENCES = 16
_MIN_SENTENCE = 20
_MAX_REPEATS = 4
"""A sentence as often among the last ones is a loop, also if it alternates with others."""


class LoopDetector:
    """Watches a streamed text; `add` returns whether it repeats itself."""

    def __init__(self) -> None:
        self._tail = ""
        self._unchecked = 0
        self._sentences: list[str] = []
        self._current = ""

    def add(self, piece: str) -> bool:
        self._tail = (self._tail + piece)[-_TAIL:]
        self._unchecked += len(piece)
        *ended, self._current = SENTENCE_END.split(self._current + piece)
        return any(self._repeats(sentence) for sentence in ended) or self._has_short_loop()

    def _repeats(self, sentence: str) -> bool:
        words = " ".join(re.findall(r"\w+", sentence.lower()))
        if len(words) < _MIN_SENTENCE:
            return False
        self._sentences = [*self._sentences[-_LAST_SENTENCES:], words]
        return self._sentences.count(words) >= _MAX_REPEATS

    def _has_short_loop(self) -> bool:
        if self._unchecked < _CHECK_EVERY:
            return False
        self._unchecked = 0
        found = _SHORT_LOOP.search(self._tail)
        return found is not None and len(found[0]) >= _MIN_LOOP and found[1].strip(" -=_*#.") != ""
