"""One ranking out of two: what cosine and BM25 say of a passage, added up.

A BM25 score is a sum of log-odds (Robertson and Zaragoza, 2009), so it is taken as it is: a list
in which many passages match alike says little, one with a clear winner says much, and that is kept
where scaling each list to 0..1 would lose it. Cosines are brought to the same unit by a weight:

    score = BM25 + weight * (cosine - last) / sqrt(first - last)

with `first` and `last` the best and the least cosine of the dense list. The root is half-way
between taking cosines as they are and stretching every list to one range: embedders differ in how
far apart their cosines lie, and so do questions. A passage that one list lacks is at most as good
as the last one there, and counts as that.

The weight depends on the question and on what was found. An answer to a question is told by its
words more than by its subject; for a topic meaning counts more, and the more so the more
words match; and in code, words are names, which questions seldom say. So candidates are chosen with
MEANING, and once their texts are read, they are weighed by `weight`.

Measured with the embedded model, nDCG@10, by `tests/benchmarks/retrieval.py` (fused is this module
with MEANING, ranked is the whole search):

    set         asked   BM25  dense    RRF  fused  ranked
    cranfield     225   .531   .501   .561   .568    .594
    med            30   .707   .786   .809   .812    .822
    cacm           52   .502   .421   .548   .532    .563
    squad        5285   .883   .768   .858   .896    .917   (.919 on the questions held out)
    cosqa         500   .383   .606   .535   .597    .616
    chunking      236   .803   .657   .736   .782    .820

The weights are round numbers on a plateau: with FOR_TOPICS from 30 to 38, FOR_QUESTIONS from 20 to
28, IN_CODE from 60 to 84, in `rerank.py` CLOSENESS from 1.5 to 3 and LIKENESS from 20 to 60, and in
`alike.py` FOR_TOPICS from 30 to 50, each by itself, no set moves by more than about .01, which is
less than its two halves differ by. A linear model of sixteen such figures, learned from all sets
but the one it was tried on, ranks every set worse than these weights do; learned from the very
questions it was tried on, it gains .008 on cosqa and nothing on topics. What .02 of cacm and .004
of cosqa lack to the figures hoped for (.585, .62) is not in these figures then.

What gained nothing: lists scaled to 0..1 and the best single weight; the list of words scaled so
for topics (cacm gains .01, med loses as much); weights by how concentrated each list is or how well
the lists agree (they help code and hurt topics); vectors centred on the collection's mean, and
cosines less those to the nearest neighbours (code gains .01, topics lose .02); feedback on vectors;
the exact cosine of passages that only words found; late interaction over this model's token vectors
(tried on cosqa); identifiers taken apart before they are embedded; embedding the question without
its stop words; 50 passages to rerank instead of 30. Nor did:

- Words scaled by their range against meaning scaled by its own over the whole collection: for
  topics as good as this, for questions worse.
- BM25's k1 from 0.9 to 2.5 and b from 0.5 to 0.9: no set gains more than .01. A question widened
  by the best passages' words (RM3): med .03 and cranfield .02 by words alone, cacm and chunking
  lose as much.
- The sentences of a long question each by themselves, beside the whole: dense cacm .440 instead of
  .421, med .791 instead of .786; nothing is left of it once ranked.
- Likeness in meaning without likeness in words, or the other way round: .006 of med and cranfield.
- Requests without their frame ("I'm interested in articles about"): cacm .005, cranfield nothing.
  Without their negated sentences as well: cacm loses .004 of that.
- Code embedded with its name in words and its docstring's first sentence in front (cosqa, dense, on
  a third of the functions): .753 instead of .747, one half gains and one loses. A vector of these
  words by themselves: .600; the sum of both vectors, at .3 to .7: .743 to .721.
- Questions about code without the language's name: dense .580 instead of .606. Written as the head
  of a function: .566. Added to the question's own vector: .593 and .603.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from allma_server.search.query_type import is_question
from allma_server.types import Hit

MEANING = 30.0
"""The say of the dense list: a span of 0.2 between its ends is worth 13 points of BM25."""

IN_CODE, FOR_TOPICS, FOR_QUESTIONS = 72.0, 34.0, 24.0
"""The same once the texts are known: in code, and in prose for topics and for questions."""

USUAL = 22.0
"""The best BM25 score that a search for a topic usually has: where it is larger, meaning weighs
more in proportion, or a long request's words would drown it; at most as far as MOST, and likewise
down to LEAST."""
LEAST, MOST = 10.0, 50.0


@dataclass(frozen=True, slots=True)
class Fused:
    """A candidate with its parts, so that its place can be explained; ranks count from 1.

    `words` and `meaning` are what the two lists add to its score; meaning before it is weighed.
    """

    chunk_id: int
    words: float
    meaning: float
    dense: float | None = None
    dense_rank: int | None = None
    lexical: float | None = None
    lexical_rank: int | None = None

    @property
    def score(self) -> float:
        return self.weighed(MEANING)

    def weighed(self, weight: float) -> float:
        """The score with this weight of meaning."""
        return self.words + weight * self.meaning


def weight(question: str, code: float, best: float) -> float:
    """The weight of meaning for this question.

    Args:
        question: as it was asked.
        code: the share of what was found that is code.
        best: the highest BM25 score that was found, 0 where no word was.
    """
    if is_question(question):
        prose = FOR_QUESTIONS
    else:
        prose = FOR_TOPICS * min(max(best or USUAL, LEAST), MOST) / USUAL
    return code * IN_CODE + (1 - code) * prose


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
    floor = lexical[-1].score if lexical and len(lexical) >= depth else 0.0
    fused: list[Fused] = []
    for chunk_id in by_dense.keys() | by_words.keys():
        dense_rank, cosine = by_dense.get(chunk_id, (None, None))
        word_rank, bm25 = by_words.get(chunk_id, (None, None))
        words = floor if bm25 is None else bm25
        meaning = 0.0 if cosine is None or span <= 0 else (cosine - last) / sqrt(span)
        fused.append(Fused(chunk_id, words, meaning, cosine, dense_rank, bm25, word_rank))
    return sorted(fused, key=lambda f: (-f.score, f.chunk_id))
