"""Relevant passages resemble each other: how near each is to the best ones, taken together.

After Rocchio (1971), who moved the question towards what it found. Here the passages' order is
changed and the question stays, so nothing is searched for twice.
"""

from collections.abc import Sequence
from math import exp

import numpy as np

from allma_server.ports import Vector

FOR_TOPICS, FOR_QUESTIONS = 40.0, 10.0
"""Points of BM25 that a likeness of 1 in meaning is worth. An answer stands in one passage, and
what is about the same subject does not give it."""

BEST = 8
"""Passages that likeness is measured to, weighted by the softmax of their scores over SHARPNESS."""
SHARPNESS = 4.0


def shares(scores: Sequence[float]) -> dict[int, float]:
    """The say of each of the best passages, by its index; together 1."""
    best = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:BEST]
    odds = [exp((scores[index] - scores[best[0]]) / SHARPNESS) for index in best]
    return {index: odd / sum(odds) for index, odd in zip(best, odds, strict=True)}


def alike(scores: Sequence[float], vectors: Sequence[Vector | None]) -> list[float]:
    """How much nearer each passage is to the best ones than the least near, as a cosine.

    0 without a vector, and for all where none of the best has one. That the least has 0 keeps the
    scores' proportions, by which `choose.py` drops what is far below the best.
    """
    known = {index: vector for index, vector in enumerate(vectors) if vector is not None}
    heard = {index: share for index, share in shares(scores).items() if index in known}
    if not heard:
        return [0.0] * len(scores)
    centre = np.sum([share * known[index] for index, share in heard.items()], axis=0)
    cosines = np.stack(list(known.values())) @ (centre / np.linalg.norm(centre))
    nearer = dict(zip(known, map(float, cosines - cosines.min()), strict=True))
    return [nearer.get(index, 0.0) for index in range(len(scores))]
