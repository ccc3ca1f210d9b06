import random

import pytest

from allma_server.answering.citations import CitationFilter, number_passages
from allma_server.types import Passage


def passage(number: int) -> Passage:
    return Passage(
        f"/w/{number}.md",
        "/w",
        number,
        number,
        0,
        "text",
        1.0,
        1,
        2,
        None,
        [],
        f"file:///w/{number}",
    )


PASSAGES = [passage(n) for n in (1, 2, 3)]


def checked(text: str) -> CitationFilter:
    """A whole answer from three passages, with its numbers checked."""
    answer = CitationFilter(len(PASSAGES))
    answer.add(text)
    answer.finish()
    return answer


@pytest.mark.parametrize(
    ("text", "expected", "cited"),
    [
        ("Salt [1].", "Salt [1].", [1]),
        ("Salt [1, 3].", "Salt [1][3].", [1, 3]),
        ("Salt [1-3].", "Salt [1][2][3].", [1, 2, 3]),
        ("Salt [source 2].", "Salt [2].", [2]),
        ("Salt [7].", "Salt.", []),
        ("Salt [2] and [9] pepper.", "Salt [2] and pepper.", [2]),
        ("Use `row[1]` or\n```\na[2]\n```\nas in [3].", None, [3]),
        ("A [1](https://example.org) link.", "A [1](https://example.org) link.", []),
        ("Nothing is said.", "Nothing is said.", []),
        ("Salt [9][2] and [^3].", "Salt [2] and [3].", [2, 3]),
        ("Salt [12", "Salt [12", []),
        ("A ``` [7] that is open", "A ``` [7] that is open", []),
        ("  Salt [3] \n", "Salt [3]", [3]),
        ("As in [sea] and [a b].", "As in [sea] and [a b].", []),
    ],
)
def test_every_number_names_a_passage(text: str, expected: str | None, cited: list[int]) -> None:
    answer = checked(text)
    citations = number_passages(PASSAGES, answer.cited)
    assert answer.text == (text if expected is None else expected)
    assert [c.number for c in citations if c.cited] == cited
    assert [c.passage for c in citations] == PASSAGES


def test_a_huge_range_is_limited() -> None:
    assert checked("All [1-999].").text == "All [1][2][3]."


@pytest.mark.parametrize(
    "text",
    [
        "Salt [12] and [1, 3] then [1][2], [1-3]; see [9].",
        "Code `a[7]` and\n```\nb[8]\n```\nbut [9] not.",
        "An [2](https://example.org) link [7](x) and `open [9] to the end",
        "   The sea  [11]  is [2]  \n\n salty [ 3 ] [",
    ],
)
def test_the_result_does_not_depend_on_how_the_text_is_split(text: str) -> None:
    whole = checked(text)
    dice = random.Random(7)
    for _ in range(100):
        pieces, shown, rest = CitationFilter(len(PASSAGES)), "", text
        while rest:
            size = dice.choice([1, 1, 2, 3, 8])
            shown, rest = shown + pieces.add(rest[:size]), rest[size:]
        shown += pieces.finish()
        assert shown == pieces.text == whole.text
        assert pieces.cited == whole.cited


def test_shown_text_is_never_taken_back() -> None:
    answer = CitationFilter(3)
    assert [answer.add(piece) for piece in ("Salt [", "1", "2", "].", " ")] == [
        "Salt", "", "", ".", ""
    ]  # fmt: skip
    assert answer.add("See [2") == " See"
    # Another number may follow.
    assert answer.add("] ") == ""
    assert answer.add("x") == " [2] x"
