from dataclasses import replace

from allma_server.model import Passage
from allma_server.retrieve.choose import choose, chosen

FIRST = Passage("/w/a.txt", "/w", 1, 1, 0, "one two", 9.0, 1, 10, None, [], "file:///w/a.txt")


def passage(chunk_id: int, text: str, **changes: int) -> Passage:
    return replace(FIRST, chunk_id=chunk_id, document_id=chunk_id, text=text, **changes)


def outcomes(*passages: Passage, k: int = 5) -> list[str]:
    return [choice.outcome for choice in choose(passages, k)]


def test_the_same_text_is_shown_once_however_it_is_spaced():
    copy = passage(2, "one\n  two")
    [_, second] = choose([FIRST, copy], 5)
    assert (second.outcome, second.other) == ("repeats", FIRST)


def test_a_chunk_that_shares_most_lines_with_a_better_one_is_dropped():
    overlapping = passage(2, "two three", chunk_index=1, start_line=4, end_line=12)
    assert outcomes(FIRST, replace(overlapping, document_id=1)) == ["shown", "overlaps"]
    assert outcomes(FIRST, overlapping) == ["shown", "shown"]


def test_no_more_are_shown_than_were_asked_for():
    many = [passage(n, f"text {n}") for n in range(2, 6)]
    assert outcomes(*many, k=2) == ["shown", "shown", "over_limit", "over_limit"]
    assert chosen(many, 2) == many[:2]
