"""Rescore the retrieved passages by their own words, without a model.

Three signals are added to the score of each passage. All of them are measured within the retrieved
passages: a term is weighted by how few of *them* contain it, because that is what still
distinguishes them.

- Pairs: words that are adjacent in the query are adjacent in the passage (after the sequential
  dependence model of Metzler and Croft, 2005).
- Proximity, for questions: the most query words that occur within a short window. The answer to a
  question is in one place; a topic ("heat transfer in slabs") is spread over the passage.
- Feedback: how similar the passage's words are to those of the best passages (`feedback.py`).

They count in proportion to what words have found at all (`fusion.lexical_evidence`). Where the best
passage has hardly a rare word of the query, as when a question is asked of tables in other words
than theirs, its common words stand together in many passages, and tell nothing.

Pairs and feedback count less, the more of the passages are code: there, adjacent words follow from
the grammar and from names. Proximity always counts in code, because a function states its purpose
in one place. Phrases in quotes always count, and so does the whole query if the passage contains it
verbatim: an error message, or a line of a log.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from allma_server._internal.tokens import QueryTerms, lexemes, query_terms
from allma_server.search.feedback import softmax_weights
from allma_server.search.query_type import is_question
from allma_server.types import Passage

PAIR_WEIGHT = 4.5
PROXIMITY_WEIGHT = 2.0
FEEDBACK_WEIGHT = 40.0
PHRASE_WEIGHT = 20.0
"""All in BM25 points, the unit of the scores that they are added to. Each is the middle of a wide
range in which the results hardly change (`tests/benchmarks/retrieval.py`)."""

MIN_VERBATIM_TERMS = 4
"""A query of at least so many terms is also searched for verbatim; a shorter one is no phrase."""

PROXIMITY_WINDOW = 30
"""Size of the window for proximity, in words."""

UNSPACED_TERMS = 4
"""Terms of a word in a script without spaces, where characters and pairs of them are terms."""

K1, B = 1.2, 0.75
"""BM25's usual constants: term frequency saturation and length normalisation."""


def rescore(
    query: str, passages: Sequence[Passage], code: float = 0.0, evidence: float = 1.0
) -> list[float]:
    """Return the score of each passage with what its words add.

    The passages' scores must come from `fuse`, as the weights are in its unit. Takes milliseconds
    of CPU time: call it in a thread.

    Args:
        query: as the user wrote it.
        passages: the candidates, in any order.
        code: the share of the passages that are code, from 0 to 1.
        evidence: how much words have found, from `lexical_evidence`; phrases count in any case.
    """
    if not passages:
        return []
    terms = query_terms(query)
    texts = [_terms("\n".join((*passage.heading, passage.text))) for passage in passages]
    vocabulary = {term: number for number, term in enumerate(dict.fromkeys(chain(*texts)))}
    counts = _counts(texts, vocabulary)
    weights = _idf(counts)
    saturation = _saturation(texts)
    wanted = vocabulary.keys() & set(terms.terms or terms.stop_words)
    idf = {term: float(weights[vocabulary[term]]) for term in wanted}
    phrases = {*terms.phrases, *_verbatim(query)}
    prose = 1 - code
    pair_weight = evidence * prose * PAIR_WEIGHT
    # Queries about code are short, so that a low score says little about what words have found.
    proximity_weight = PROXIMITY_WEIGHT * max(code, evidence if is_question(query) else 0.0)
    window = PROXIMITY_WINDOW * (UNSPACED_TERMS if terms.unspaced else 1)
    scores: list[float] = []
    for passage, words, k in zip(passages, texts, saturation.tolist(), strict=True):
        matches = [(position, term) for position, term in enumerate(words) if term in wanted]
        gain = pair_weight * _pairs(matches, terms, idf, k)
        if proximity_weight:
            gain += proximity_weight * _proximity(matches, idf, window)
        scores.append(passage.score + gain + PHRASE_WEIGHT * _phrases(words, phrases))
    vectors = counts / (counts + saturation[:, np.newaxis]) * weights
    feedback = evidence * prose * FEEDBACK_WEIGHT
    similarities = _centroid_similarity(vectors, scores)
    return [score + feedback * like for score, like in zip(scores, similarities, strict=True)]


# Half the time of a rescoring. A follow-up retrieves many of the same passages; a few megabytes.
@lru_cache(maxsize=1024)
def _terms(text: str) -> tuple[str, ...]:
    return tuple(lexemes(text))


def _counts(texts: Sequence[Sequence[str]], vocabulary: Mapping[str, int]) -> NDArray[np.float64]:
    """Return how often each passage has each term: shape (passages, terms)."""
    size = len(vocabulary)
    places = [row * size + vocabulary[term] for row, words in enumerate(texts) for term in words]
    counts = np.bincount(np.array(places, np.intp), minlength=len(texts) * size)
    return counts.reshape(len(texts), size).astype(np.float64)


def _idf(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return BM25's inverse document frequency, with the retrieved passages as the collection."""
    frequencies = (counts > 0).sum(axis=0)
    return np.log(1 + (len(counts) - frequencies + 0.5) / (frequencies + 0.5))


def _saturation(texts: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Return BM25's k1 * (1 - b + b * length / mean length) for each passage."""
    lengths = np.array([len(words) for words in texts], np.float64)
    return K1 * (1 - B + B * lengths / (lengths.mean() or 1.0))


def _pairs(
    matches: Sequence[tuple[int, str]], terms: QueryTerms, idf: Mapping[str, float], k: float
) -> float:
    frequencies = Counter(
        (first, second)
        for (position, first), (following, second) in pairwise(matches)
        if following == position + 1 and (first, second) in terms.pairs
    )
    return sum(
        (idf[first] + idf[second]) / 2 * (K1 + 1) * n / (n + k)
        for (first, second), n in frequencies.items()
    )


def _proximity(matches: Sequence[tuple[int, str]], idf: Mapping[str, float], size: int) -> float:
    """Return the summed IDF of the distinct query terms in the best window of so many terms."""
    window: Counter[str] = Counter()
    total = best = 0.0
    start = 0
    for position, term in matches:
        window[term] += 1
        if window[term] == 1:
            total += idf[term]
        while matches[start][0] <= position - size:
            left = matches[start][1]
            window[left] -= 1
            if not window[left]:
                total -= idf[left]
            start += 1
        best = max(best, total)
    return best


def _verbatim(query: str) -> set[tuple[str, ...]]:
    """Return the whole query as a phrase, if it is long enough to be one."""
    words = tuple(lexemes(query))
    return {words} if len(words) >= MIN_VERBATIM_TERMS else set()


def _phrases(words: Sequence[str], phrases: Collection[tuple[str, ...]]) -> int:
    """Return how many of the phrases the passage contains."""
    possible = [phrase for phrase in phrases if all(word in words for word in phrase)]
    if not possible:
        return 0
    text = f" {' '.join(words)} "
    return sum(f" {' '.join(phrase)} " in text for phrase in possible)


def _centroid_similarity(vectors: NDArray[np.float64], scores: Sequence[float]) -> list[float]:
    """Return the cosine similarity of each passage to the centroid of the best ones, 0 to 1.

    Args:
        vectors: tf-idf, not yet normalised: shape (passages, terms).
        scores: one per passage.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    lengths[lengths == 0] = 1.0
    best = softmax_weights(scores)
    places = list(best)
    centroid = (np.array([*best.values()]) / lengths[places]) @ vectors[places]
    return (vectors @ centroid / lengths).tolist()
