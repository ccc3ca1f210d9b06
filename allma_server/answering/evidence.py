"""What in the passages speaks for an answer, told by words: quick, and the same for every model."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from allma_server._internal.tokens import STOP_WORDS, lexemes
from allma_server.types import Passage

SUPPORTED = 0.6
"""The share of a statement's own words that a passage must hold to be named as its source."""

CLEARLY_BETTER = 0.5
"""A cited passage with less than this share of what the best one holds gives way to it."""


_FIGURE = re.compile(r"(?:1[3-9]|[2-9]\d|\d{3,})(?:[.,]\d+)*")
"""A number that is not likely to be spelled out."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The passages an answer is written from, as the words they hold."""

    question: frozenset[str]
    passages: tuple[frozenset[str], ...]

    @classmethod
    def of(cls, question: str, passages: Sequence[Passage]) -> "Evidence":
        held = (words(" ".join((*p.heading, p.text))) for p in passages)
        return cls(words(question), tuple(held))

    def support(self, statement: str) -> list[float]:
        """Which share of the statement's words each passage holds.

        The question's words are in every passage that was found for it: those beyond them count,
        where there are any.
        """
        said = words(statement)
        telling = said - self.question or said
        return [len(telling & held) / len(telling) if telling else 0.0 for held in self.passages]

    def source_of(self, statement: str) -> int | None:
        """The number of the passage that supports a statement best; None where none does."""
        support = self.support(statement)
        best = max(support, default=0.0)
        return support.index(best) + 1 if best >= SUPPORTED else None

    def corrected(self, number: int, statement: str) -> int | None:
        """The number to cite for a statement: its own, unless another passage says it and that not.

        None where no passage holds a word of it, or none of its figures. A paraphrase has few
        words in common with any passage, and keeps its number; so does what is written in a script
        that the passages are not.
        """
        said = words(statement)
        figures = {word for word in said - self.question if _FIGURE.fullmatch(word)}
        if figures and not any(figures & held for held in self.passages):
            return None
        if said and not any(said & held for held in self.passages):
            foreign = not _scripts(said) & _scripts(chain(*self.passages))
            return number if foreign else None
        support = [
            share if not figures or figures & held else 0.0
            for share, held in zip(self.support(statement), self.passages, strict=True)
        ]
        best = max(support)
        if best < SUPPORTED or support[number - 1] >= CLEARLY_BETTER * best:
            return number
        return support.index(best) + 1


def _scripts(terms: Iterable[str]) -> set[str]:
    """The scripts of terms, by the names of their first letters: LATIN, CYRILLIC, CJK."""
    return {unicodedata.name(t[0], "").partition(" ")[0] for t in terms if t[0].isalpha()}


def words(text: str) -> frozenset[str]:
    """The terms of a text that mean something by themselves."""
    return frozenset(term for term in lexemes(text) if term not in STOP_WORDS)
