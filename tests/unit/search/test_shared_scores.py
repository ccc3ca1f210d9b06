"""Scores of words in several indexes are those of one index of all their texts."""

from collections.abc import Sequence

import pytest

from allma_server.search.shared_scores import score, together
from allma_server.storage.full_text.entries import use_of
from allma_server.types import WordPart, WordStatistics, WordUse

OAK = ["the oak is old", "an oak tree", "oak and oak again"]
PINE = ["the pine is tall", "a pine tree here", "tall trees"]
WORDS = ("oak", "tree", "tall")
PARTS = tuple(WordPart(((word,),), weight) for word, weight in zip(WORDS, (1, 1, 2), strict=True))


def statistics(texts: Sequence[str]) -> WordStatistics:
    words = [text.split() for text in texts]
    known = {term: sum(term in each for each in words) for term in WORDS}
    return WordStatistics(len(texts), sum(map(len, words)) / len(words), known)


def scores(texts: Sequence[str], known: WordStatistics) -> list[float]:
    own = statistics(texts).mean_length
    uses = [use_of(text.split(), [(word,) for word in WORDS]) for text in texts]
    return [score(use, own, known, PARTS) for use in uses]


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
    assert score(WordUse(0, {}), 0.0, WordStatistics(0, 0.0, {}), PARTS) == 0.0


def test_a_phrase_is_as_rare_as_its_words_together_and_of_alternatives_the_best_counts() -> None:
    known = WordStatistics(100, 5.0, {"old": 10, "oak": 10, "elm": 50})
    runs = [("old", "oak"), ("oak",), ("elm",)]

    def worth(text: str, *parts: WordPart) -> float:
        return score(use_of(text.split(), runs), 5.0, known, parts)

    oak, phrase = WordPart((("oak",),)), WordPart((("old", "oak"),))
    assert worth("an old oak stands there", phrase) == pytest.approx(
        2 * worth("an old oak stands there", oak)
    )
    assert worth("an oak stands old there", phrase) == 0.0
    either = WordPart((("oak",), ("elm",)))
    assert worth("an oak an elm there", either) == worth("an oak an elm there", oak)
