from dataclasses import replace

from allma_server.search.select import (
    Selection,
    decide,
    deduplicate,
    prefer_originals,
    select_passages,
)
from allma_server.types import Passage

FIRST = Passage("/w/a.txt", "/w", 1, 1, 0, "one two", 9.0, 1, 10, None, [], "file:///w/a.txt")


def passage(chunk_id: int, text: str, **changes: float) -> Passage:
    return replace(FIRST, chunk_id=chunk_id, document_id=chunk_id, text=text, **changes)


def outcomes(*passages: Passage, k: int = 5) -> list[str]:
    return [decision.outcome for decision in decide(passages, k)]


def test_the_same_text_is_shown_once_however_it_is_spaced():
    copy = passage(2, "one\n  two")
    [_, second] = decide([FIRST, copy], 5)
    assert (second.outcome, second.other) == ("repeats", FIRST)


def test_the_copy_with_the_shortest_path_comes_first() -> None:
    copy = replace(FIRST, chunk_id=2, document_id=2, path="/w/vendor/x/a.txt", score=9.5)
    below = passage(3, "three", score=9.2)
    original = replace(FIRST, score=9.5)
    assert prefer_originals([copy, below, FIRST]) == [original, below, replace(copy, score=9.0)]
    assert prefer_originals([FIRST, below, copy]) == [FIRST, below, copy]


def test_a_chunk_that_shares_most_lines_with_a_better_one_is_dropped():
    overlapping = passage(2, "two three", chunk_index=1, start_line=4, end_line=12)
    assert outcomes(FIRST, replace(overlapping, document_id=1)) == ["shown", "overlaps"]
    assert outcomes(FIRST, overlapping) == ["shown", "shown"]


def test_chunks_of_one_line_overlap_where_their_texts_do():
    one = passage(1, "one two " * 9 + "and then three", start_line=1, end_line=1)
    apart = replace(one, chunk_id=2, chunk_index=3, text="four five")
    beside = replace(one, chunk_id=2, chunk_index=1, text="four five", score=1.0)
    overlapping = replace(beside, text=one.text[8:] + " four")
    assert outcomes(one, apart) == ["shown", "shown"]
    assert outcomes(one, beside) != ["shown", "overlaps"]
    assert outcomes(one, overlapping) == ["shown", "overlaps"]


def test_at_most_k_passages_are_shown():
    many = [passage(n, f"text {n}") for n in range(2, 6)]
    assert outcomes(*many, k=2) == ["shown", "shown", "over_limit", "over_limit"]
    assert select_passages(many, 2) == [Selection(each) for each in many[:2]]


def test_passages_below_the_threshold_are_dropped_and_it_falls_with_k():
    scores = (20.0, 10.0, 6.0, 3.0)
    found = [passage(n, f"text {n}", score=score) for n, score in enumerate(scores)]
    assert outcomes(*found, k=3) == ["shown", "shown", "below_threshold", "below_threshold"]
    assert outcomes(*found, k=5) == ["shown", "shown", "below_threshold", "below_threshold"]
    assert outcomes(*found, k=10) == ["shown", "shown", "shown", "below_threshold"]
    assert deduplicate(found, 5) == found
    assert select_passages(found, 5, threshold=0) == [Selection(each) for each in found]


def test_passages_with_a_score_of_zero_are_shown():
    found = [passage(n, f"text {n}", score=0.0) for n in range(4)]
    assert outcomes(*found) == ["shown"] * 4
    assert outcomes() == []


def beside(number: int, **changes: float) -> Passage:
    """A chunk of the first passage's document, ten lines each."""
    lines = {"start_line": 10 * number + 1, "end_line": 10 * number + 10}
    own = {"chunk_id": 100 + number, "chunk_index": number, "text": f"t{number}"}
    return replace(FIRST, **own, **lines, **changes)


def test_an_adjacent_chunk_is_joined_even_below_the_threshold():
    near, low = beside(1, score=2.0), beside(1, score=1.0)
    assert select_passages([FIRST, near], 5) == [Selection(FIRST, near)]
    assert select_passages([FIRST, low], 5) == [Selection(FIRST)]
    assert outcomes(FIRST, passage(2, "b"), low, k=2) == ["shown", "shown", "over_limit"]
    assert outcomes(FIRST, passage(2, "b"), beside(1), k=2) == ["shown", "shown", "joined"]


def test_only_one_adjacent_chunk_of_the_same_page_is_joined():
    assert outcomes(FIRST, beside(1), beside(2)) == ["shown", "joined", "shown"]
    middle = beside(5)
    assert outcomes(middle, beside(4), beside(6)) == ["shown", "joined", "shown"]
    assert outcomes(FIRST, beside(1, page=2)) == ["shown", "shown"]
    assert outcomes(FIRST, beside(1, document_id=2)) == ["shown", "shown"]
    assert deduplicate([FIRST, beside(1)], 5) == [FIRST, beside(1)]
