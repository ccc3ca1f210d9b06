"""What stands before a chunk's text, and what room it leaves."""

from allma_server.documents.chunking.counting import CountTokens
from allma_server.documents.chunking.settings import ChunkSettings
from allma_server.types import Section

_MARKS = 2  # the model's own tokens at the start and the end of a text
_CONTEXT = 160
_HEADING = 80


class Context:
    """One document's title and headings; `room` is what they leave of the embedder's tokens."""

    def __init__(self, title: str, settings: ChunkSettings, count: CountTokens) -> None:
        self._title = " ".join(title.split())
        self._settings = settings
        self._count = count
        self._contexts: dict[tuple[str, ...], tuple[str, int]] = {}

    def repeat(self, section: Section) -> tuple[str, int]:
        """The section's `repeat` and its tokens; none where it would crowd out the text."""
        if not section.repeat or len(section.repeat) > self._settings.size // 3:
            return "", 0
        repeat = section.repeat.rstrip("\n") + "\n"
        tokens = self._count(repeat)
        return (repeat, tokens) if tokens <= self._settings.max_tokens // 3 else ("", 0)

    def room(self, heading: tuple[str, ...]) -> int:
        return self._settings.max_tokens - _MARKS - self.of(heading)[1]

    def of(self, heading: tuple[str, ...]) -> tuple[str, int]:
        """Title and heading path, as much as is short, and its tokens."""
        if heading not in self._contexts:
            title = (self._title,) if self._title and self._title not in heading[:1] else ()
            parts = [" ".join(part.split())[:_HEADING] for part in (*title, *heading)]
            parts = [part for part in parts if part]
            most = self._settings.max_tokens // 4
            while parts and (
                len(context := " › ".join(parts)) > _CONTEXT or self._count(context) > most
            ):
                # The nearest heading says most, then the title.
                parts.pop(1 if len(parts) > 2 else 0)
            context = " › ".join(parts)
            self._contexts[heading] = (context, self._count(context))
        return self._contexts[heading]
