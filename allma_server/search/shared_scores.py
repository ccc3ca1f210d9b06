"""Scores of words in several indexes, as of one index of all their texts.

BM25 counts a term by how rare it is, and each index knows only its own texts: a term that all texts
of one folder have counts for nothing there, though it may tell that folder from all others. So what
others share is scored here, and a score of the index here gets what the rarity of its terms in all
texts adds to it or takes from it. What else is in it, such as phrases, stays.
"""

from collections.abc import Collection, Sequence
from math import log

from allma_server.types import Run, WordPart, WordStatistics, WordUse

K1, B = 1.2, 0.75
"""BM25's constants, those of the indexes here and in the cluster."""


def together(parts: Collection[WordStatistics]) -> WordStatistics:
    """Return the statistics of all texts as of one index."""
    total = sum(part.total for part in parts)
    length = sum(part.total * part.mean_length for part in parts)
    terms = {term for part in parts for term in part.frequencies}
    frequencies = {t: sum(part.frequencies.get(t, 0) for part in parts) for t in terms}
    return WordStatistics(total, length / total if total else 0.0, frequencies)


def score(
    use: WordUse, mean_length: float, known: WordStatistics, parts: Sequence[WordPart]
) -> float:
    """Return the BM25 of a text among texts of a mean length, with terms as rare as is `known`.

    A run of terms is as rare as all of them together, as in the index here.
    """
    norm = K1 * (1 - B + B * use.length / (mean_length or 1.0))

    def worth(run: Run) -> float:
        n = use.counts[run]
        return sum(_rarity(known, term) for term in run) * (K1 + 1) * n / (n + norm)

    found = ((part.weight, [run for run in part.runs if run in use.counts]) for part in parts)
    return sum(weight * max(map(worth, runs)) for weight, runs in found if runs)


def _rarity(known: WordStatistics, term: str) -> float:
    """Return BM25's inverse document frequency."""
    n = min(known.frequencies.get(term, 0), known.total)
    return log(1 + (known.total - n + 0.5) / (n + 0.5))
