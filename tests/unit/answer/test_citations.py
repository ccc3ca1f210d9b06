import pytest

from allma_server.answer.citations import check_citations
from allma_server.model import Passage


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


@pytest.mark.parametrize(
    ("text", "expected", "cited"),
    [
        ("Salt [1].", "Salt [1].", [1]),
        ("Salt [1, 3].", "Salt [1][3].", [1, 3]),
        ("Salt [1-3].", "Salt [1][2][3].", [1, 2, 3]),
        ("Salt [source 2].", "Salt [2].", [2]),
        ("Salt [7].", "Salt.", []),
        ("Salt [2] and [9] pepper.", "Salt [2] and  pepper.", [2]),
        ("Use `row[1]` or\n```\na[2]\n```\nas in [3].", None, [3]),
        ("A [1](https://example.org) link.", "A [1](https://example.org) link.", []),
        ("Nothing is said.", "Nothing is said.", []),
    ],
)
def test_every_number_names_a_passage(text: str, expected: str | None, cited: list[int]) -> None:
    checked, citations = check_citations(text, PASSAGES)
    assert checked == (text if expected is None else expected)
    assert [c.number for c in citations if c.cited] == cited
    assert [c.passage for c in citations] == PASSAGES


def test_a_huge_range_does_not_blow_up() -> None:
    text, _ = check_citations("All [1-999].", PASSAGES)
    assert text == "All [1][2][3]."
