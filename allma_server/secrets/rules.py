"""How a rule is looked for: at the places of a few short marks, which are cheap to find.

A regular expression costs some 80 ns a character wherever it begins with a choice of words, a plain
search for a mark below 1 ns. So every rule names marks of which one stands in whatever it finds,
and most marks are looked for only in those words of a text that were in no text before.
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

_WORDS = re.compile("[^a-z]?[a-z]{2,}[^a-z]?")
_MOST_PLAIN = 50_000
_LONGEST_PLAIN = 24
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

    def present(self, marks: tuple[str, ...]) -> list[str]:
        """Those marks that may stand in it."""
        words = self._words
        if words == _NO_WORDS:
            return _without_words(marks)
        return [mark for mark, word in _with_words(marks) if word in words]

    def _found(self, mark: str) -> Sequence[int]:
        common, offset = _parts(mark)
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
        """The distinct words in which marks may be, with a blank before and after each."""
        plain = self.lowered.encode("ascii", "replace").translate(_TO_WORDS)
        return _joined(_MARK_WORDS.not_plain(set(plain.split())))

    def keys(self) -> Iterator[int]:
        """Where "key" follows a word that makes it a secret; most keys are of dictionaries."""
        for at in self.places("key"):
            before = self.lowered[max(0, at - 4) : at].rstrip(" _-")[-3:]
            if before in _BEFORE_KEY or before.endswith("fi"):
                yield at

    def regions(self, marks: tuple[str, ...], reach: int) -> Iterator[tuple[int, int]]:
        """The parts around marks and keys, in order and apart from each other.

        They reach as far as `reach` characters, and never end inside a word, whose end decides.
        """
        start = end = 0
        places = (self.places(mark) for mark in self.present(marks))
        found = sorted([*self.keys(), *(at for each in places for at in each)])
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
def _parts(mark: str) -> tuple[str, int]:
    """What a mark is looked for by: its common part, and where that begins."""
    common = next((each for each in _COMMON if each in mark), mark)
    return common, mark.index(common)


def declared(marks: Iterable[str]) -> tuple[str, ...]:
    """Marks, each once, that a module will look for with `MarkedText.present`."""
    listed = tuple(dict.fromkeys(marks))
    _MARK_WORDS.add(_word_of(mark) for mark in listed)
    return listed


@cache
def _with_words(marks: tuple[str, ...]) -> list[tuple[str, bytes]]:
    found = [(mark, _word_of(mark)) for mark in marks]
    assert all(word in _MARK_WORDS for _, word in found)
    return found


@cache
def _without_words(marks: tuple[str, ...]) -> list[str]:
    return [mark for mark, word in _with_words(marks) if not word]


def _word_of(mark: str) -> bytes:
    """The longest word of a mark; it may be part of a longer one only where the mark ends."""
    words = (re.sub("[^a-z]", " ", word[0]) for word in _WORDS.finditer(mark))
    return max(words, key=len, default="").encode("ascii")


def _joined(words: Iterable[bytes]) -> bytes:
    return b" %b " % b" ".join(words)


_NO_WORDS = _joined(())


class _MarkWords:
    """The words of all marks, and the words of texts in which none of them is.

    Texts have most of their words in common with those before them.
    """

    def __init__(self) -> None:
        self._words: set[bytes] = set()
        self._plain: set[bytes] = set()

    def add(self, words: Iterable[bytes]) -> None:
        self._words.update(words)
        self._plain.clear()
        self.__dict__.pop("_shortest", None)

    def __contains__(self, word: bytes) -> bool:
        return word in self._words

    @cached_property
    def _shortest(self) -> list[bytes]:
        """Those of which no other is a part."""
        words = self._words - {b""}
        return [word for word in words if sum(other in word for other in words) == 1]

    def not_plain(self, words: set[bytes]) -> set[bytes]:
        """Those of some words in which words of marks are."""
        words -= self._plain
        if not words:
            return words  # as of most headings, of which a document may have thousands
        text = _joined(words)
        found: set[bytes] = set()
        for mark in self._shortest:
            at = text.find(mark)
            while at >= 0:
                end = text.index(b" ", at + len(mark) - 1)
                found.add(text[text.rfind(b" ", 0, at + 1) + 1 : end])
                at = text.find(mark, end)
        if len(self._plain) > _MOST_PLAIN:
            self._plain.clear()
        self._plain.update(word for word in words - found if len(word) < _LONGEST_PLAIN)
        return found


_MARK_WORDS = _MarkWords()


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern that begins at one of its marks; its group `secret` is what is hidden.

    Marks are in lower case. `is_secret` decides on what the group holds.
    """

    kind: str
    marks: tuple[str, ...]
    pattern: re.Pattern[str]
    is_secret: Callable[[str], bool]

    def spans(self, marked: MarkedText, mark: str) -> Iterator[Span]:
        """What it finds at one of its marks in a text."""
        for at in marked.places(mark):
            match = self.pattern.match(marked.text, at)
            if match and self.is_secret(match["secret"]):
                yield Span(*match.span("secret"), self.kind)


class Rules:
    """Rules by their marks."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_mark: dict[str, list[Rule]] = {}
        for rule in rules:
            for mark in rule.marks:
                self._by_mark.setdefault(mark, []).append(rule)
        self._marks = declared(self._by_mark)

    def spans(self, marked: MarkedText) -> Iterator[Span]:
        """What they find in a text."""
        for mark in marked.present(self._marks):
            for rule in self._by_mark[mark]:
                yield from rule.spans(marked, mark)
