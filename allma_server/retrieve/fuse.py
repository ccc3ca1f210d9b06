"""One ranking out of two: what cosine and BM25 say of a passage, added up.

A BM25 score is a sum of log-odds (Robertson and Zaragoza, 2009), so it is taken as it is: a list
in which many passages match alike says little, one with a clear winner says much, and that is kept
where scaling each list to 0..1 would lose it. Cosines are brought to the same unit by one constant:

    score = BM25 + DENSE * (cosine - last) / sqrt(first - last)

with `first` and `last` the best and the least cosine of the dense list. The root is half-way
between taking cosines as they are and stretching every list to one range: embedders differ in how
far apart their cosines lie, and so do questions. A passage that one list lacks is at most as good
as the last one there, and counts as that.

Measured with the embedded model, nDCG@10, by `tests/benchmarks/retrieval.py` (fused is this module
alone, ranked is with `rerank.py`):

    set         asked   BM25  dense    RRF  fused  ranked
    cranfield     225   .531   .501   .561   .565    .586
    med            30   .707   .786   .809   .807    .806
    cacm           52   .502   .421   .548   .530    .553
    squad        5285   .883   .768   .858   .891    .916   (.918 on the questions held out)
    cosqa         500   .383   .606   .535   .605    .605
    chunking      236   .803   .657   .736   .777    .816

The four weights are round numbers on a plateau: with DENSE from 32 to 37 and, in `rerank.py`, PAIRS
from 2 to 4, CLOSENESS from 1 to 3 and LIKENESS from 20 to 60, the mean over the sets stays within
.708 and .714, and weights chosen on one half of the questions gain nothing on the other.

What gained nothing: lists scaled to 0..1 and the best single weight (mean .686 before reranking,
against .693); weights by how concentrated each list is or how well the lists agree (they help code
and hurt topics); vectors centred on the collection's mean; feedback on vectors (it helps topics and
hurts questions); the exact cosine of passages that only words found; late interaction over this
model's token vectors (tried on cosqa); embedding the question without its stop words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from allma_server.model import Hit

DENSE = 36.0
"""The say of the dense list: a span of 0.2 between its ends is worth 16 points of BM25."""


@dataclass(frozen=True, slots=True)
class Fused:
    """A candidate with its parts, so that its place can be explained; ranks count from 1."""

    chunk_id: int
    score: float
    dense: float | None = None
    dense_rank: int | None = None
    lexical: float | None = None
    lexical_rank: int | None = None


def fuse(dense: Sequence[Hit], lexical: Sequence[Hit], depth: int) -> list[Fused]:
    """All candidates of both lists, the best first.

    Args:
        dense: the nearest chunks, best first, scored by cosine similarity.
        lexical: the chunks that match by words, best first, scored by BM25.
        depth: how many hits each retriever was asked for; a shorter list was not cut, so what it
            lacks does not match at all.
    """
    by_dense = {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(dense, start=1)}
    by_words = {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(lexical, start=1)}
    last = dense[-1].score if dense else 0.0
    span = dense[0].score - last if dense else 0.0
    weight = DENSE / sqrt(span) if span > 0 else 0.0
    floor = lexical[-1].score if lexical and len(lexical) >= depth else 0.0
    fused: list[Fused] = []
    for chunk_id in by_dense.keys() | by_words.keys():
        dense_rank, cosine = by_dense.get(chunk_id, (None, None))
        word_rank, bm25 = by_words.get(chunk_id, (None, None))
        score = floor if bm25 is None else bm25
        if cosine is not None:
            score += weight * (cosine - last)
        fused.append(Fused(chunk_id, score, cosine, dense_rank, bm25, word_rank))
    return sorted(fused, key=lambda f: (-f.score, f.chunk_id))
