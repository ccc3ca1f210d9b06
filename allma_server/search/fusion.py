"""Fuse the dense and the lexical result list into one ranking by a weighted sum of scores.

BM25 is a sum of log-odds (Robertson and Zaragoza, 2009), so its scores are used unscaled: a list
whose scores are all similar hardly changes the order, and a clear winner stands out. Scaling each
list to 0..1 would lose that. Cosine similarities are converted to the same unit by a weight:

    score = BM25 + dense_weight * (cosine - lowest) / sqrt((highest - lowest) * unit)

where `highest` and `lowest` are the ends of the dense list. The square root is a compromise between
the raw difference and scaling to 0..1, because the spread of cosines differs between queries. A
passage that is missing from one list counts as the last entry of that list.

It also differs between embedders, which `unit` removes (`similarity_unit`): by how much the cosine
of a question and its answer exceeds that of unrelated texts, in proportion to MiniLM, with which
the weights were chosen. An embedder whose cosines are those of another one moved and squeezed gets
the same ranking. It holds for embedders in general, because that difference is what they are
trained for, whatever numbers they give. Where it does not stand out from the differences between
unrelated texts, cosines tell little, and the words decide.

The weight depends on the query and on the passages: an answer to a question is recognised by its
words, as far as it has them, a topic more by its meaning, and code by its meaning most of all,
because questions seldom use the identifiers in it. Candidates are selected with DENSE_WEIGHT; once
their texts have been read, they are scored again with `dense_weight()`.

Where the embedder does not know the language of the query, words decide: the dense part counts as
much as it knows of it (`script_knowledge.py`).

While vectors are still being made, a passage without one is missing from the dense list although
its meaning may fit, so it counts as the average of what the words have found.

`tests/benchmarks/retrieval.py` measures the result and records what else was tried.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf, sqrt

from allma_server.search.query_type import is_question
from allma_server.types import Hit, Separation

DENSE_WEIGHT = 30.0
"""BM25 points, before the texts are known: a cosine range of 0.2 is worth 13 points."""

CODE_DENSE_WEIGHT, TOPIC_DENSE_WEIGHT, QUESTION_DENSE_WEIGHT = 72.0, 34.0, 24.0
"""The same once the texts are known: for code, and in prose for topics and for questions. Each is
the middle of a wide range in which the results hardly change."""

TYPICAL_BM25 = 22.0
"""The best BM25 score of a typical topic. The weight grows in proportion to the actual best score,
or else the many words of a long query would outweigh its meaning."""
MIN_BM25, MAX_BM25 = 10.0, 50.0
"""Bounds of the best score in that proportion."""

FEW_WORDS_BM25, MAX_QUESTION_FACTOR = 16.0, 2.0
"""The best score below which a question shares few words with any passage, as with the tables of a
report. Then meaning counts more, with the square root of the ratio and at most by this factor."""

TYPICAL_SIGNAL = 0.41
"""The signal of MiniLM (`types.Separation`), with which the weights were chosen."""

MIN_SIGNAL = 2.0
"""In units of the noise: below, meaning counts less. Models for search have 3 to 6, one that
counts words has 0."""


@dataclass(frozen=True, slots=True)
class Fused:
    """A candidate with the parts of its score, so that its rank can be explained.

    `lexical_part` and `dense_part` add up to the score, the latter multiplied by the dense weight.
    `dense` is the cosine similarity, `lexical` the BM25 score, and their ranks count from 1; None
    where the list does not contain the candidate.
    """

    chunk_id: int
    lexical_part: float
    dense_part: float
    dense: float | None = None
    dense_rank: int | None = None
    lexical: float | None = None
    lexical_rank: int | None = None

    @property
    def score(self) -> float:
        return self.score_with(DENSE_WEIGHT)

    def score_with(self, weight: float) -> float:
        """Return the score with another dense weight."""
        return self.lexical_part + weight * self.dense_part


def dense_weight(query: str, code_share: float, best_bm25: float) -> float:
    """Return the dense weight for this query and these passages.

    Args:
        query: as the user wrote it.
        code_share: the share of the passages that are code, from 0 to 1.
        best_bm25: the highest BM25 score found; 0 if the lexical list is empty.
    """
    code = CODE_DENSE_WEIGHT
    if is_question(query):
        # A question tells more words of its answer than a topic does, in code as in prose.
        code *= QUESTION_DENSE_WEIGHT / TOPIC_DENSE_WEIGHT
        few = sqrt(max(1.0, FEW_WORDS_BM25 / (best_bm25 or TYPICAL_BM25)))
        prose = QUESTION_DENSE_WEIGHT * min(few, MAX_QUESTION_FACTOR)
    else:
        best = min(max(best_bm25 or TYPICAL_BM25, MIN_BM25), MAX_BM25)
        prose = TOPIC_DENSE_WEIGHT * best / TYPICAL_BM25
    return code_share * code + (1 - code_share) * prose


def lexical_evidence(best_bm25: float) -> float:
    """Return how much words have found, compared with a typical topic, from 0 to 1.

    1 if they found nothing: then nothing speaks against the order by meaning.
    """
    return min(1.0, (best_bm25 or TYPICAL_BM25) / TYPICAL_BM25)


def similarity_unit(separation: Separation | None) -> float:
    """Return what a difference of cosines is divided by, so that embedders are comparable.

    1 for MiniLM, and while the separation is not known.
    """
    if separation is None:
        return 1.0
    signal, least = separation.signal, MIN_SIGNAL * separation.noise
    if signal <= 0:
        return inf
    trust = min(1.0, signal / least) if least else 1.0
    # Squared, because the scores divide by the root of the unit.
    return max(signal, least) / TYPICAL_SIGNAL / trust**2


def fuse(
    dense: Sequence[Hit],
    lexical: Sequence[Hit],
    depth: int,
    knowledge: float = 1.0,
    unit: float = 1.0,
    without_vector: Collection[int] = (),
) -> list[Fused]:
    """Return the candidates of both lists, best first.

    Args:
        dense: the nearest chunks, best first, scored by cosine similarity.
        lexical: the chunks that match by words, best first, scored by BM25.
        depth: how many hits each retriever was asked for. A shorter lexical list is complete, so
            a chunk that it does not contain has a BM25 score of 0.
        knowledge: how well the embedder knows the query's language, from 0 to 1.
        unit: of the cosines, from `similarity_unit`.
        without_vector: chunks of the lexical list that have no vector yet.
    """
    by_meaning = {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(dense, start=1)}
    by_words = {hit.chunk_id: (rank, hit.score) for rank, hit in enumerate(lexical, start=1)}
    lowest = dense[-1].score if dense else 0.0
    spread = dense[0].score - lowest if dense else 0.0
    floor = lexical[-1].score if lexical and len(lexical) >= depth else 0.0
    scale = knowledge / sqrt(spread * unit) if spread > 0 else 0.0
    parts = {id: scale * (cosine - lowest) for id, (_, cosine) in by_meaning.items()}
    compared = [parts.get(id, 0.0) for id in by_words if id not in without_vector]
    parts |= dict.fromkeys(without_vector, sum(compared) / max(1, len(compared)))
    fused: list[Fused] = []
    for chunk_id in by_meaning.keys() | by_words.keys():
        dense_rank, cosine = by_meaning.get(chunk_id, (None, None))
        lexical_rank, bm25 = by_words.get(chunk_id, (None, None))
        lexical_part = floor if bm25 is None else bm25
        dense_part = parts.get(chunk_id, 0.0)
        fused.append(
            Fused(chunk_id, lexical_part, dense_part, cosine, dense_rank, bm25, lexical_rank)
        )
    return sorted(fused, key=lambda f: (-f.score, f.chunk_id))
