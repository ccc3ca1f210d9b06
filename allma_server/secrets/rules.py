"""How a rule is looked for: at the places of a few short marks, which are cheap to find.

A regular expression costs some 80 ns a character wherever it begins with a choice of words, a plain
search for a mark below 1 ns. So every rule names marks of which one stands in whatever it finds.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from allma_server.secrets.spans import Span


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern that begins at one of its marks; its group `secret` is what is hidden.

    Marks are in lower case. `is_secret` decides on what the group holds.
    """

    kind: str
    marks: tuple[str, ...]
    pattern: re.Pattern[str]
    is_secret: Callable[[str], bool]

    def spans(self, text: str, lowered: str) -> Iterator[Span]:
        """What it finds in a text; `lowered` is the text in lower case, of the same length."""
        for mark in self.marks:
            for at in places(lowered, mark):
                match = self.pattern.match(text, at)
                if match and self.is_secret(match["secret"]):
                    yield Span(*match.span("secret"), self.kind)


def places(text: str, mark: str) -> Iterator[int]:
    """Where a mark stands, in order, without those that overlap."""
    at = text.find(mark)
    while at >= 0:
        yield at
        at = text.find(mark, at + len(mark))
