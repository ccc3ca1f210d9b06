"""Turn the terms of a query into the parts that a passage may match; no query parser is involved.

The index searches by them (`queries.py`), and what it does not hold is scored by them
(`scoring.py`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from allma_server._internal.tokens import QueryTerms, misspelt
from allma_server.storage.full_text.entries import PATH, TEXT

K3 = 8.0
"""BM25's usual constant for how soon repetitions of a term in the question count less."""

MAX_TERMS = 512
"""Distinct terms that one search scores; of more, the rarest. A page of text has fewer."""

MAX_EXPANSIONS = 64
"""Words that one prefix or one misspelt term stands for: the most frequent ones."""

MIN_SIMILAR_LENGTH, MAX_SIMILAR_LENGTH = 5, 32
"""Shorter words resemble too many others, and longer ones are hardly words."""

MAX_SIMILAR = 8
"""Unknown words of one query that are compared with others, the first ones."""

SIMILAR_WEIGHT = 0.5
"""What a word that resembles a searched one counts, of what the word itself would count."""


class Vocabulary(Protocol):
    """The words of all texts that are searched."""

    def frequency(self, field: str, term: str) -> int:
        """Return how many texts have the term."""
        ...

    def beginning_with(self, prefix: str, limit: int) -> Iterable[str]:
        """Return terms of TEXT that begin like this, the most frequent ones."""
        ...


class Kind(Enum):
    """How the terms of a part are matched."""

    RUN = auto()
    """They follow each other; a single one is a word."""
    BEST = auto()
    """Any of them; the best one counts."""
    SIMILAR = auto()
    """Any term that differs from the only one in a letter; all count alike."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a passage may match; its score is the sum over all parts."""

    kind: Kind
    terms: tuple[str, ...]
    field: str = TEXT
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class WordParts:
    """The parts of a query. `similar`: terms that nothing contains, searched by similarity."""

    parts: tuple[Part, ...]
    similar: tuple[str, ...]


def word_parts(terms: QueryTerms, vocabulary: Vocabulary) -> WordParts:
    """Return the parts of a query with these terms; none when there is nothing to search for."""
    counts = terms.searched
    frequencies = {term: vocabulary.frequency(TEXT, term) for term in counts}
    known = sorted(filter(frequencies.get, counts), key=frequencies.__getitem__)
    parts = [Part(Kind.RUN, (t,), weight=weight_of(counts[t])) for t in known[:MAX_TERMS]]
    unknown = [t for t in counts if not frequencies[t] and t not in terms.prefixes]
    similar: list[str] = []
    for term in unknown[:MAX_SIMILAR]:
        if (found := _similar(terms.spellings.get(term, ""), vocabulary)) is not None:
            similar.append(term)
            parts.append(found)
    parts += [Part(Kind.RUN, phrase) for phrase in terms.phrases[:MAX_EXPANSIONS]]
    parts += [Part(Kind.RUN, path, PATH) for path in terms.paths[:MAX_EXPANSIONS]]
    for prefix in terms.prefixes[:MAX_EXPANSIONS]:
        if words := tuple(vocabulary.beginning_with(prefix, MAX_EXPANSIONS)):
            parts.append(Part(Kind.BEST, words))
    return WordParts(tuple(parts), tuple(similar))


def weight_of(count: int) -> float:
    """Return how often a term counts that is in the question so many times."""
    return (K3 + 1) * count / (K3 + count)


def _similar(word: str, vocabulary: Vocabulary) -> Part | None:
    """Return the part for words that differ from this one in a letter.

    An English word is compared before it is stemmed: other endings have other stems.
    """
    if not MIN_SIMILAR_LENGTH <= len(word) <= MAX_SIMILAR_LENGTH or not word.isalpha():
        return None
    if not word.isascii():
        return Part(Kind.SIMILAR, (word,), weight=SIMILAR_WEIGHT)
    found = most_frequent({term: vocabulary.frequency(TEXT, term) for term in misspelt(word)})
    return Part(Kind.BEST, found, weight=SIMILAR_WEIGHT) if found else None


def most_frequent(frequencies: Mapping[str, int]) -> tuple[str, ...]:
    """Return the most frequent terms, without those that are nowhere."""
    known = filter(frequencies.get, frequencies)
    return tuple(sorted(known, key=frequencies.__getitem__, reverse=True)[:MAX_EXPANSIONS])
