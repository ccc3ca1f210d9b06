"""Pseudo-relevance feedback: how similar each passage is to the best ones.

Rocchio (1971) moves the query vector towards the vectors of relevant documents and searches again.
Here the query stays as it is: the passages found so far are rescored by their cosine similarity to
the centroid of the best of them, so no second search is needed.
"""

from collections.abc import Sequence
from math import exp

import numpy as np

from allma_server.ports import Vector

TOPIC_FEEDBACK, QUESTION_FEEDBACK = 40.0, 10.0
"""BM25 points per 1.0 of cosine similarity, in units of the embedder (`fusion.similarity_unit`).
Lower for questions: the passages about a question's subject are similar, but only one of them
contains the answer."""

FEEDBACK_PASSAGES, FEEDBACK_SHARE = 8, 0.27
"""How many of the best passages form the centroid, and at most which share of them all: in an index
of a few files the candidates are the whole index, and more of them would be like its filler."""

SOFTMAX_TEMPERATURE = 4.0
"""In BM25 points. The centroid is weighted by the softmax of the passages' scores."""


def softmax_weights(scores: Sequence[float]) -> dict[int, float]:
    """Return the softmax weight of each of the best passages by its index; they sum to 1."""
    count = max(1, min(FEEDBACK_PASSAGES, int(FEEDBACK_SHARE * len(scores))))
    best = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:count]
    odds = [exp((scores[index] - scores[best[0]]) / SOFTMAX_TEMPERATURE) for index in best]
    return {index: odd / sum(odds) for index, odd in zip(best, odds, strict=True)}


def centroid_similarity(scores: Sequence[float], vectors: Sequence[Vector | None]) -> list[float]:
    """Return the mean cosine similarity of each passage to the best ones, minus the lowest.

    The average for a passage without a vector, because its meaning is unknown; 0 for all of them if
    none of the best has one. Subtracting the lowest keeps the proportions of the scores, which
    `select.py` compares with a threshold. The centroid keeps its length, so that the result is
    proportional to the embedder's cosines.

    Args:
        scores: one per passage; the best passages form the centroid.
        vectors: one per passage, L2-normalised, None where the index has none.
    """
    known = {index: vector for index, vector in enumerate(vectors) if vector is not None}
    weights = {index: w for index, w in softmax_weights(scores).items() if index in known}
    if not weights:
        return [0.0] * len(scores)
    total = sum(weights.values())
    centroid = np.sum([w / total * known[index] for index, w in weights.items()], axis=0)
    cosines = np.stack(list(known.values())) @ centroid
    similarity = dict(zip(known, map(float, cosines - cosines.min()), strict=True))
    average = sum(similarity.values()) / len(similarity)
    return [similarity.get(index, average) for index in range(len(scores))]
