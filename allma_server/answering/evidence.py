"""Which passages support a statement, by their words: fast, and independent of the model."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from allma_server._internal.tokens import STOP_WORDS, lexemes
from allma_server.types import Passage

MIN_SUPPORT = 0.6
"""Share of a statement's words that a passage must contain to be cited as its source."""

MIN_RELATIVE_SUPPORT = 0.5
"""A cited passage with less than this share of the best support is replaced by the best one."""

_FIGURE = re.compile(r"(?:1[3-9]|[2-9]\d|\d{3,})(?:[.,]\d+)*")
"""A number that is unlikely to be spelled out in words."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The content words of a question and of each passage that its answer is based on."""

    question: frozenset[str]
    passages: tuple[frozenset[str], ...]

    @classmethod
    def from_passages(cls, question: str, passages: Sequence[Passage]) -> "Evidence":
        texts = (content_words(" ".join((*p.heading, p.text))) for p in passages)
        return cls(content_words(question), tuple(texts))

    def support(self, statement: str) -> list[float]:
        """Return the share of the statement's words that each passage contains, from 0 to 1.

        Words of the question do not count if there are others, because all passages found for a
        question contain them.
        """
        words = content_words(statement)
        distinctive = words - self.question or words
        return [
            len(distinctive & passage) / len(distinctive) if distinctive else 0.0
            for passage in self.passages
        ]

    def find_source(self, statement: str) -> int | None:
        """Return the number of the passage that supports a statement best; None if none does."""
        support = self.support(statement)
        best = max(support, default=0.0)
        return support.index(best) + 1 if best >= MIN_SUPPORT else None

    def correct_citation(self, number: int, statement: str) -> int | None:
        """Return the number to cite for a statement.

        That is `number`, unless another passage supports the statement and this one does not. None
        if no passage contains any word of the statement, or any of its figures. A paraphrase shares
        few words with any passage, so it keeps its number; so does a statement in a script that the
        passages are not written in.
        """
        words = content_words(statement)
        figures = {word for word in words - self.question if _FIGURE.fullmatch(word)}
        if figures and not any(figures & passage for passage in self.passages):
            return None
        if words and not any(words & passage for passage in self.passages):
            other_script = not _scripts(words) & _scripts(chain(*self.passages))
            return number if other_script else None
        support = [
            share if not figures or figures & passage else 0.0
            for share, passage in zip(self.support(statement), self.passages, strict=True)
        ]
        best = max(support)
        if best < MIN_SUPPORT or support[number - 1] >= MIN_RELATIVE_SUPPORT * best:
            return number
        return support.index(best) + 1


def content_words(text: str) -> frozenset[str]:
    """Return the stems of a text without stop words."""
    return frozenset(term for term in lexemes(text) if term not in STOP_WORDS)


def _scripts(terms: Iterable[str]) -> set[str]:
    """Return the scripts of the terms, by the Unicode names of their first letters."""
    return {unicodedata.name(t[0], "").partition(" ")[0] for t in terms if t[0].isalpha()}
