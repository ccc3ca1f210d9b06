"""The context that is embedded before a chunk's text, and the tokens left for the text."""

from allma_server.documents.chunking.settings import ChunkSettings
from allma_server.documents.chunking.token_counter import CountTokens
from allma_server.types import Section

_SPECIAL_TOKENS = 2  # the model's own tokens at the start and the end of a text
_MAX_CONTEXT = 160
_MAX_HEADING = 80


class Context:
    """The title and headings of one document, shortened, with their cost in tokens."""

    def __init__(self, title: str, settings: ChunkSettings, count: CountTokens) -> None:
        self._title = " ".join(title.split())
        self._settings = settings
        self._count = count
        self._contexts: dict[tuple[str, ...], tuple[str, int]] = {}

    def repeat(self, section: Section) -> tuple[str, int]:
        """Return the section's `repeat` and its tokens; empty if it would leave too little room."""
        if not section.repeat or len(section.repeat) > self._settings.size // 3:
            return "", 0
        repeat = section.repeat.rstrip("\n") + "\n"
        tokens = self._count(repeat)
        return (repeat, tokens) if tokens <= self._settings.max_tokens // 3 else ("", 0)

    def token_budget(self, heading: tuple[str, ...]) -> int:
        """Return how many tokens the text of a chunk below `heading` may have."""
        return self._settings.max_tokens - _SPECIAL_TOKENS - self._context(heading)[1]

    def text(self, heading: tuple[str, ...]) -> str:
        """Return the title and the heading path, joined, as far as they fit."""
        return self._context(heading)[0]

    def _context(self, heading: tuple[str, ...]) -> tuple[str, int]:
        """Return the context and its tokens."""
        if heading not in self._contexts:
            title = (self._title,) if self._title and self._title not in heading[:1] else ()
            parts = [" ".join(part.split())[:_MAX_HEADING] for part in (*title, *heading)]
            parts = [part for part in parts if part]
            max_tokens = self._settings.max_tokens // 4
            while parts and (
                len(context := " › ".join(parts)) > _MAX_CONTEXT
                or self._count(context) > max_tokens
            ):
                # The nearest heading is the most specific part, then the title.
                parts.pop(1 if len(parts) > 2 else 0)
            context = " › ".join(parts)
            self._contexts[heading] = (context, self._count(context))
        return self._contexts[heading]
