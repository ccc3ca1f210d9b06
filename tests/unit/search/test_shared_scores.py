"""Scores of words in several indexes are those of one index of all their texts."""

from collections.abc import Sequence

import pytest

from allma_server.search.shared_scores import score, together
from allma_server.types import WordStatistics, WordUse

OAK = ["the oak is old", "an oak tree", "oak and oak again"]
PINE = ["the pine is tall", "a pine tree here", "tall trees"]
WEIGHTS = {"oak": 1, "tree": 1, "tall": 2}


def statistics(texts: Sequence[str]) -> WordStatistics:
    words = [text.split() for text in texts]
    known = {term: sum(term in each for each in words) for term in WEIGHTS}
    return WordStatistics(len(texts), sum(map(len, words)) / len(words), known)


def scores(texts: Sequence[str], known: WordStatistics) -> list[float]:
    own = statistics(texts).mean_length
    uses = [WordUse(len(t.split()), {w: t.split().count(w) for w in WEIGHTS}) for t in texts]
    return [score(use, own, known, WEIGHTS) for use in uses]


def test_terms_are_as_rare_as_in_all_texts_together() -> None:
    whole = together([statistics(OAK), statistics(PINE)])
    assert whole == statistics([*OAK, *PINE])
    assert whole.frequencies == {"oak": 3, "tree": 2, "tall": 2}


def test_a_term_that_a_whole_folder_has_tells_it_from_others() -> None:
    alone = scores(OAK, statistics(OAK))
    assert alone[0] < 0.2, "all texts there have it"
    whole = together([statistics(OAK), statistics(PINE)])
    assert scores(OAK, whole)[0] == pytest.approx(0.7, abs=0.1)


def test_nothing_is_no_text() -> None:
    assert together([]) == WordStatistics(0, 0.0, {})
    assert score(WordUse(0, {}), 0.0, WordStatistics(0, 0.0, {}), WEIGHTS) == 0.0
