"""How a rule is looked for: at the places of a few short marks, which are cheap to find.

A regular expression costs some 80 ns a character wherever it begins with a choice of words, a plain
search for a mark below 1 ns. So every rule names marks of which one stands in whatever it finds,
and most marks are looked for only in the distinct words of a text, a seventh of it.
"""

import re
import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from allma_server.secrets.spans import Span

_REST_OF_WORD = re.compile(r"\w+")
# Marks with one of these in them are looked for where that one stands.
_COMMON = ("pass", "pw", "auth", "secret", "key", "login", "zugang", "user", "phrase", "mnemonic")

_LETTERS = re.compile("[a-z]{2,}")
_TO_WORDS = bytes(code if chr(code) in string.ascii_lowercase else 32 for code in range(256))

# The ends of words such as api, access, auth, secret, private, encryption, signing, service.
_BEFORE_KEY = frozenset(
    "api ess uth ret ate nse nce ion ing unt ter age red ice app min ver loy ook net mac aes jwt "
    "bot ent lan ork".split()
)


class MarkedText:
    """A text, and where marks stand in it; none is looked for twice.

    `lowered` is the text in lower case, of the same length.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.lowered = text.lower()
        if len(self.lowered) != len(text):  # a few capital letters become two
            self.lowered = "".join(c.lower() if c.isascii() else c for c in text)
        self._places: dict[str, Sequence[int]] = {}

    def places(self, mark: str) -> Sequence[int]:
        """Where a mark in lower case stands, in order, without those that overlap."""
        known = self._places.get(mark)
        if known is None:
            known = self._places[mark] = self._found(mark)
        return known

    def _found(self, mark: str) -> Sequence[int]:
        words, common, offset = _parts(mark)
        if any(word not in self._words for word in words):
            return ()
        if common != mark:
            begins = (at - offset for at in self.places(common) if at >= offset)
            return [at for at in begins if self.lowered.startswith(mark, at)]
        found: list[int] = []
        at = self.lowered.find(mark)
        while at >= 0:
            found.append(at)
            at = self.lowered.find(mark, at + len(mark))
        return found

    @cached_property
    def _words(self) -> bytes:
        """The distinct words, runs of ASCII letters."""
        return b" ".join(set(self.lowered.encode("ascii", "replace").translate(_TO_WORDS).split()))

    def keys(self) -> Iterator[int]:
        """Where "key" follows a word that makes it a secret; most keys are of dictionaries."""
        for at in self.places("key"):
            before = self.lowered[max(0, at - 4) : at].rstrip(" _-")[-3:]
            if before in _BEFORE_KEY or before.endswith("fi"):
                yield at

    def regions(self, marks: Iterable[str], reach: int) -> Iterator[tuple[int, int]]:
        """The parts around marks and keys, in order and apart from each other.

        They reach as far as `reach` characters, and never end inside a word, whose end decides.
        """
        start = end = 0
        found = sorted([*self.keys(), *(at for mark in marks for at in self.places(mark))])
        for at in found:
            if at - reach > end:
                if end:
                    yield start, end
                start = max(0, at - reach)
            if at + reach > end:
                rest = _REST_OF_WORD.match(self.lowered, at + reach)
                end = rest.end() if rest else at + reach
        if end:
            yield start, end


@cache
def _parts(mark: str) -> tuple[Sequence[bytes], str, int]:
    """What a mark is looked for by: its words, its common part, and where that begins."""
    common = next((each for each in _COMMON if each in mark), mark)
    words = [word.encode("ascii") for word in _LETTERS.findall(mark)]
    return words, common, mark.index(common)


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern that begins at one of its marks; its group `secret` is what is hidden.

    Marks are in lower case. `is_secret` decides on what the group holds.
    """

    kind: str
    marks: tuple[str, ...]
    pattern: re.Pattern[str]
    is_secret: Callable[[str], bool]

    def spans(self, marked: MarkedText) -> Iterator[Span]:
        """What it finds in a text."""
        for mark in self.marks:
            for at in marked.places(mark):
                match = self.pattern.match(marked.text, at)
                if match and self.is_secret(match["secret"]):
                    yield Span(*match.span("secret"), self.kind)
