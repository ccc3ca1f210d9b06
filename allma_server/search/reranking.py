"""The default reranker: what the found passages' own words tell, without a model.

Three things are added to a passage's score, all measured within the found passages: a term counts
by how few of *them* contain it, which is what still tells them apart.

- Pairs: words that stand side by side in the question do so in the passage (after the sequential
  dependence model of Metzler and Croft, 2005).
- Closeness, for questions: the most of the question's words that stand within a few lines. A
  question is answered in one place; a topic ("heat transfer in slabs") is spread over a passage.
- Likeness: how near its words are to those of the best passages (`alike.py`).

Pairs and likeness are about prose. In code, words stand together by grammar and names, so the more
of the found passages are code, the less they count; but a function says in one place what it does,
so closeness counts there whatever is asked. What the user put in quotes always counts, and so does
the whole question where it stands in the passage word for word: an error message, a line of a log.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from math import hypot, log

from allma_server._internal.tokens import QueryTerms, lexemes, query_terms
from allma_server.search.feedback import shares
from allma_server.search.query_type import is_question, share_of_code
from allma_server.types import Passage

PAIRS = 3.0
CLOSENESS = 2.0
LIKENESS = 40.0
QUOTED = 20.0
"""Weights in points of BM25, the unit of the scores they are added to."""

VERBATIM = 4
"""Terms of a question that is looked for word for word. Of 200 strings and sentences of this
project that were asked for as they stand, 191 came first, and 151 without it; no set moves."""

WINDOW = 30
"""Terms within which words count as close."""

K1, B = 1.2, 0.75
"""BM25's usual constants: how soon repetition stops to count, and how much length matters."""


class WordReranker:
    """Scores passages by their words; implements `ports.Reranker`.

    The passages' scores must be those of `fuse`: they are what is added to.
    """

    name = "words"

    async def rerank(self, question: str, passages: Sequence[Passage]) -> list[float]:
        return await asyncio.to_thread(rescore, question, passages)


def rescore(question: str, passages: Sequence[Passage]) -> list[float]:
    """The passages' scores with what their words tell added."""
    if not passages:
        return []
    terms = query_terms(question)
    pool = [_terms("\n".join((*passage.heading, passage.text))) for passage in passages]
    counts = [Counter(words) for words in pool]
    rarity = _rarity(counts)
    half = _half_saturation(pool)
    wanted = frozenset(terms.terms or terms.stops)
    phrases = {*terms.phrases, *_verbatim(question)}
    code = share_of_code(passages)
    prose = 1 - code
    closeness = CLOSENESS * (1.0 if is_question(question) else code)
    scores: list[float] = []
    for passage, words, count, k in zip(passages, pool, counts, half, strict=True):
        found = [(at, term) for at, term in enumerate(words) if term in wanted]
        gain = prose * PAIRS * _pairs(found, terms, rarity, k)
        if closeness:
            gain += closeness * _closest(found, rarity)
        scores.append(passage.score + gain + QUOTED * _quoted(words, count, phrases))
    vectors = [_vector(count, rarity, k) for count, k in zip(counts, half, strict=True)]
    likeness = _likeness(vectors, scores)
    return [score + prose * LIKENESS * like for score, like in zip(scores, likeness, strict=True)]


# Half of a reranking's time; who asks on meets the same passages again. A few megabytes.
@lru_cache(maxsize=1024)
def _terms(text: str) -> tuple[str, ...]:
    return tuple(lexemes(text))


def _rarity(counts: Sequence[Counter[str]]) -> dict[str, float]:
    """BM25's weight of each term, with the found passages for a collection."""
    passages = Counter(chain.from_iterable(counts))
    total = len(counts)
    weights = [log(1 + (total - n + 0.5) / (n + 0.5)) for n in range(total + 1)]
    return {term: weights[n] for term, n in passages.items()}


def _half_saturation(pool: Sequence[Sequence[str]]) -> list[float]:
    """BM25's k1 * (1 - b + b * length / mean length) of each passage."""
    mean = sum(map(len, pool)) / len(pool) or 1.0
    return [K1 * (1 - B + B * len(words) / mean) for words in pool]


def _pairs(
    found: Sequence[tuple[int, str]], terms: QueryTerms, rarity: Mapping[str, float], k: float
) -> float:
    times = Counter(
        (first, second)
        for (at, first), (then, second) in pairwise(found)
        if then == at + 1 and (first, second) in terms.pairs
    )
    return sum(
        (rarity[first] + rarity[second]) / 2 * (K1 + 1) * n / (n + k)
        for (first, second), n in times.items()
    )


def _closest(found: Sequence[tuple[int, str]], rarity: Mapping[str, float]) -> float:
    """The rarity of the distinct terms in the best window."""
    inside: Counter[str] = Counter()
    total = best = 0.0
    oldest = 0
    for at, term in found:
        inside[term] += 1
        if inside[term] == 1:
            total += rarity[term]
        while found[oldest][0] <= at - WINDOW:
            gone = found[oldest][1]
            inside[gone] -= 1
            if not inside[gone]:
                total -= rarity[gone]
            oldest += 1
        best = max(best, total)
    return best


def _verbatim(question: str) -> set[tuple[str, ...]]:
    """The whole question as a phrase, unless it is too short to be one."""
    words = tuple(lexemes(question))
    return {words} if len(words) >= VERBATIM else set()


def _quoted(words: Sequence[str], count: Counter[str], phrases: Collection[tuple[str, ...]]) -> int:
    """How many of these phrases are in the passage."""
    possible = [phrase for phrase in phrases if all(word in count for word in phrase)]
    if not possible:
        return 0
    text = f" {' '.join(words)} "
    return sum(f" {' '.join(phrase)} " in text for phrase in possible)


def _vector(count: Counter[str], rarity: Mapping[str, float], k: float) -> dict[str, float]:
    """The passage's words as a vector; its length is left to `_likeness`."""
    return {term: n / (n + k) * rarity[term] for term, n in count.items()}


def _likeness(vectors: Sequence[Mapping[str, float]], scores: Sequence[float]) -> list[float]:
    """The cosine of each passage to the best ones, taken together; between 0 and 1."""
    lengths = [hypot(*vector.values()) or 1.0 for vector in vectors]
    centre: dict[str, float] = {}
    for index, share in shares(scores).items():
        share /= lengths[index]
        for term, weight in vectors[index].items():
            centre[term] = centre.get(term, 0.0) + weight * share
    return [
        sum([vector[term] * centre[term] for term in vector.keys() & centre.keys()]) / length
        for vector, length in zip(vectors, lengths, strict=True)
    ]
