"""Score texts that the index does not hold as it would score them: BM25 with its statistics.

A commit of the index waits for the disk, 20 to 40 ms. The few chunks of a saved file are scored
here instead, in less than 5, until it is written in the background.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from math import log
from typing import Protocol

from allma_server.storage.full_text.entries import PATH, TEXT, Entry, occurrences
from allma_server.storage.full_text.parts import Kind, Part, Vocabulary, most_frequent
from allma_server.types import Hit

K1, B = 1.2, 0.75
"""BM25's constants, those of the index."""


class Indexed(Vocabulary, Protocol):
    """What the index knows of its texts."""

    @property
    def total(self) -> int: ...
    def mean_length(self, field: str) -> float: ...


class Nothing:
    """An index that cannot be used, though there are so many texts in all."""

    def __init__(self, total: int = 0) -> None:
        self.total = total

    def frequency(self, field: str, term: str) -> int:
        del field, term
        return 0

    def beginning_with(self, prefix: str, limit: int) -> Iterable[str]:
        del prefix, limit
        return ()

    def mean_length(self, field: str) -> float:
        del field
        return 0.0


class Scorer:
    """The statistics of an index and of texts that it does not hold, and the scores of those."""

    def __init__(self, entries: Sequence[Entry], indexed: Indexed) -> None:
        self._indexed = indexed
        self._total = indexed.total + len(entries)
        self._known = {field: _frequencies(entries, field) for field in (TEXT, PATH)}
        self._means = {field: self._mean_length(field, entries) for field in (TEXT, PATH)}
        self._idf: dict[tuple[str, str], float] = {}

    def frequency(self, field: str, term: str) -> int:
        """Return how many texts have the term, in the index or not."""
        return self._indexed.frequency(field, term) + self._known[field][term]

    def beginning_with(self, prefix: str, limit: int) -> Iterable[str]:
        """Return terms that begin like this."""
        known = self._known[TEXT]
        own = most_frequent({term: n for term, n in known.items() if term.startswith(prefix)})
        return list(dict.fromkeys([*self._indexed.beginning_with(prefix, limit), *own]))

    def hits(self, parts: Sequence[Part], entries: Sequence[Entry]) -> list[Hit]:
        """Return those of these entries that match, in no order."""
        scores = (sum(self._score(part, entry) for part in parts) for entry in entries)
        return [Hit(e.chunk_id, s) for e, s in zip(entries, scores, strict=True) if s > 0]

    def _score(self, part: Part, entry: Entry) -> float:
        counts = entry.counts[part.field]
        if part.kind is Kind.SIMILAR:
            is_there = any(_differ_in_a_letter(part.terms[0], term) for term in counts)
            return part.weight * log(1 + (self._total + 0.5) / 1.5) if is_there else 0.0
        if part.kind is Kind.BEST:
            runs = [(term,) for term in part.terms if term in counts]
        else:
            runs = [part.terms] if counts.keys() >= set(part.terms) else []
        return part.weight * max((self._bm25(run, part.field, entry) for run in runs), default=0.0)

    def _bm25(self, run: Sequence[str], field: str, entry: Entry) -> float:
        terms = entry.terms[field]
        count = entry.counts[field][run[0]] if len(run) == 1 else occurrences(terms, run)
        k = K1 * (1 - B + B * stored_length(len(terms)) / self._means[field])
        weight = sum(self._weight(field, term) for term in run)
        return weight * (K1 + 1) * count / (count + k)

    def _weight(self, field: str, term: str) -> float:
        """Return BM25's inverse document frequency of a term."""
        if (field, term) not in self._idf:
            n = min(self.frequency(field, term), self._total)
            self._idf[field, term] = log(1 + (self._total - n + 0.5) / (n + 0.5))
        return self._idf[field, term]

    def _mean_length(self, field: str, entries: Sequence[Entry]) -> float:
        own = sum(len(entry.terms[field]) for entry in entries)
        mean = self._indexed.mean_length(field)
        if not mean:
            return own / (len(entries) or 1) or 1.0
        return (mean * self._indexed.total + own) / self._total


def _frequencies(entries: Sequence[Entry], field: str) -> Counter[str]:
    return Counter(term for entry in entries for term in entry.counts[field])


def _differ_in_a_letter(word: str, other: str) -> bool:
    """Return whether one letter is missing, added or wrong, or two neighbours are exchanged."""
    if abs(len(word) - len(other)) > 1:
        return False
    pairs = list(zip(word, other, strict=False))
    start = next((n for n, (a, b) in enumerate(pairs) if a != b), len(pairs))
    a, b = word[start:], other[start:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


def _stored_lengths() -> list[int]:
    lengths = list(range(24))
    for code in range(256 - 24):
        bits, shift = code & 7, (code >> 3) - 1
        lengths.append(24 + (bits if shift < 0 else (bits | 8) << shift))
    return lengths


_LENGTHS = _stored_lengths()


def stored_length(length: int) -> int:
    """Return a text's length as the index stores it in a byte: exact to 40, then in steps."""
    return _LENGTHS[bisect_right(_LENGTHS, length) - 1]
