"""One ranking out of two: reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009)."""

from collections.abc import Sequence
from dataclasses import dataclass

from allma_server.model import Hit

K = 60


@dataclass(frozen=True, slots=True)
class Fused:
    """A candidate with its parts, so that its place can be explained; ranks count from 1."""

    chunk_id: int
    score: float
    dense: float | None = None
    dense_rank: int | None = None
    lexical: float | None = None
    lexical_rank: int | None = None


def fuse(query: str, dense: Sequence[Hit], lexical: Sequence[Hit]) -> list[Fused]:
    """All candidates of both lists, the best first."""
    by_dense = {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(dense, start=1)}
    by_words = {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(lexical, start=1)}
    fused: list[Fused] = []
    for chunk_id in by_dense.keys() | by_words.keys():
        dense_rank, dense_score = by_dense.get(chunk_id, (None, None))
        word_rank, word_score = by_words.get(chunk_id, (None, None))
        score = sum(1 / (K + rank) for rank in (dense_rank, word_rank) if rank is not None)
        fused.append(Fused(chunk_id, score, dense_score, dense_rank, word_score, word_rank))
    return sorted(fused, key=lambda f: (-f.score, f.chunk_id))
