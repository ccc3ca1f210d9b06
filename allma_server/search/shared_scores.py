"""Scores of words in several indexes, as of one index of all their texts.

BM25 counts a term by how rare it is, and each index knows only its own texts: a term that all texts
of one folder have counts for nothing there, though it may tell that folder from all others. So what
others share is scored here, and a score of the index here gets what the rarity of its terms in all
texts adds to it or takes from it. What else is in it, such as phrases, stays.
"""

from collections.abc import Collection, Mapping
from math import log

from allma_server.types import WordStatistics, WordUse

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
    use: WordUse, mean_length: float, known: WordStatistics, weights: Mapping[str, float]
) -> float:
    """Return the BM25 of a text among texts of a mean length, with terms as rare as is `known`.

    `weights`: how much each term of the query counts.
    """
    norm = K1 * (1 - B + B * use.length / (mean_length or 1.0))
    return sum(
        weights[term] * _rarity(known, term) * (K1 + 1) * n / (n + norm)
        for term, n in use.counts.items()
        if term in weights
    )


def _rarity(known: WordStatistics, term: str) -> float:
    """Return BM25's inverse document frequency."""
    n = min(known.frequencies.get(term, 0), known.total)
    return log(1 + (known.total - n + 0.5) / (n + 0.5))
