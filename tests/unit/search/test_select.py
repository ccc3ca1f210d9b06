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
    changes = {"document_id": chunk_id, **changes}
    return replace(FIRST, chunk_id=chunk_id, text=text, **changes)


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
    ordered = prefer_originals("one", [copy, below, FIRST])
    assert ordered == [original, below, replace(copy, score=9.0)]
    assert prefer_originals("one", [FIRST, below, copy]) == [FIRST, below, copy]


def test_of_the_same_text_the_one_here_is_shown_and_not_the_shared_one() -> None:
    shared = replace(FIRST, chunk_id=-2, document_id=-2, path="shared: a/b", shared="a")
    first, second = prefer_originals("one", [replace(shared, score=9.0), FIRST])
    assert (first.path, first.score, second.path) == (FIRST.path, 9.0, "shared: a/b")


def test_of_copies_the_one_under_the_headings_that_are_asked_for_comes_first() -> None:
    earlier = replace(FIRST, heading=["Report 2031"], score=9.5)
    later = replace(FIRST, chunk_id=2, document_id=2, path="/w/x/b.txt", heading=["Report 2032"])
    first, second = prefer_originals("risks in the report of 2032", [earlier, later])
    assert (first, second) == (replace(later, score=9.5), replace(earlier, score=9.0))
    assert prefer_originals("risks in the report", [earlier, later])[0] == earlier


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
    near, low = beside(1, score=3.0), beside(1, score=2.0)
    assert select_passages([FIRST, near], 5) == [Selection(FIRST, near)]
    assert select_passages([FIRST, low], 5) == [Selection(FIRST)]
    assert outcomes(FIRST, passage(2, "b"), low, k=2) == ["shown", "shown", "over_limit"]
    assert outcomes(FIRST, passage(2, "b"), beside(1), k=2) == ["shown", "shown", "joined"]


def test_an_adjacent_chunk_is_joined_only_for_what_the_rest_of_its_document_has_not():
    best, near, rest = beside(4, score=9.0), beside(5, score=6.0), beside(9, score=5.0)

    def joined(*found: float) -> bool:
        passages = (best, near, rest)
        by_chunk = {p.chunk_id: n for p, n in zip(passages, found, strict=True)}
        return decide([best, near, rest], 5, found=by_chunk)[1].outcome == "joined"

    assert joined(9.0, 4.0, 1.0) and joined(9.0, 4.0, -1.0)
    assert not joined(9.0, 4.0, 4.0) and not joined(9.0, 4.0, 3.5)
    assert not joined(0.0, 0.0, 0.0)


def test_only_one_adjacent_chunk_of_the_same_page_is_joined():
    assert outcomes(FIRST, beside(1), beside(2)) == ["shown", "joined", "shown"]
    middle = beside(5)
    assert outcomes(middle, beside(4), beside(6)) == ["shown", "joined", "shown"]
    assert outcomes(FIRST, beside(1, page=2)) == ["shown", "shown"]
    assert outcomes(FIRST, beside(1, document_id=2)) == ["shown", "shown"]
    assert deduplicate([FIRST, beside(1)], 5) == [FIRST, beside(1)]


def of_document(document_id: int, *scores: float) -> list[Passage]:
    """Chunks of one document that are neither adjacent nor alike."""
    first = 1000 * document_id
    return [
        passage(first + n, f"{first + n}", score=score, document_id=document_id, chunk_index=2 * n)
        for n, score in enumerate(scores)
    ]


def shown_documents(found: list[Passage], k: int = 5) -> list[int]:
    return [s.passage.document_id for s in select_passages(best_first(found), k)]


def best_first(found: list[Passage]) -> list[Passage]:
    return sorted(found, key=lambda p: -p.score)


def test_one_document_leaves_places_to_others_that_are_nearly_as_good():
    handbook = of_document(1, 20.0, 19.5, 19.0, 18.5, 18.0, 17.5)
    others = [*of_document(2, 16.5), *of_document(3, 16.0)]
    assert shown_documents([*handbook, *others]) == [1, 1, 1, 2, 3]
    outcomes_found = outcomes(*best_first([*handbook, *others]))
    assert outcomes_found == ["shown"] * 3 + ["same_document"] * 3 + ["shown"] * 2


def test_the_only_document_on_a_subject_fills_all_places():
    handbook = of_document(1, 20.0, 19.5, 19.0, 18.5, 18.0, 17.5)
    assert shown_documents([*handbook, *of_document(2, 8.0)]) == [1] * 5
    assert shown_documents(handbook) == [1] * 5


def test_a_document_gives_way_as_much_when_more_passages_are_shown():
    handbook = of_document(1, *(20.0 - n / 10 for n in range(25)))
    others = [each for n in range(2, 10) for each in of_document(n, 15.0)]
    assert 10 <= shown_documents([*handbook, *others], 20).count(1) <= 15
