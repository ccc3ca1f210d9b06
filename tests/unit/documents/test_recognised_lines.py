"""The order of recognised lines."""

import math

import pytest

from allma_server.documents.ocr.lines import Line, has_known_letters, text_of


def line(text: str, left: float, top: float, width: float, skew: float = 0.0) -> Line:
    """A line whose letters are 20 high; the page is turned by `skew` degrees."""
    corners = [(left, top), (left + width, top), (left + width, top + 20), (left, top + 20)]
    cos, sin = math.cos(math.radians(skew)), math.sin(math.radians(skew))
    return Line(text, 0.9, tuple((x * cos - y * sin, x * sin + y * cos) for x, y in corners))


def two_columns(skew: float = 0.0) -> list[Line]:
    rows = range(100, 250, 30)
    return [
        line("A title that is as wide as all columns together", 0, 40, 900, skew),
        *(line(f"left column, line number {y}", 0, y, 400, skew) for y in rows),
        *(line(f"right column, line number {y}", 460, y, 400, skew) for y in rows),
        line("A footnote that is as wide as all columns together", 0, 300, 900, skew),
    ]


@pytest.mark.parametrize("skew", [0.0, 3.0, -3.0])
def test_columns_of_text_are_read_one_after_the_other(skew: float) -> None:
    lines = two_columns(skew)
    mixed = sorted(lines, key=lambda each: each.corners[0][1])
    assert text_of(mixed).replace("\n\n", "\n").split("\n") == [each.text for each in lines]


def test_a_table_is_read_row_by_row() -> None:
    cells = [
        line(text, left, top, 150)
        for top, row in ((0, ("Item", "Price")), (30, ("Rope", "12.50")), (60, ("Sail", "99.00")))
        for left, text in zip((0, 400), row, strict=True)
    ]
    assert text_of(cells[::-1]) == "Item Price\nRope 12.50\nSail 99.00"


def test_hyphenated_words_are_joined_and_paragraphs_kept_apart() -> None:
    lines = [
        line("The harbour mas-", 0, 0, 300),
        line("ter writes.", 0, 26, 200),
        line("North-", 0, 90, 100),
        line("East wind.", 0, 116, 200),
    ]
    assert text_of(lines) == "The harbour master writes.\n\nNorth-\nEast wind."


def test_an_unknown_script_is_noticed() -> None:
    assert has_known_letters([line("The moon pulls the tides", 0, 0, 260)])
    assert has_known_letters([line("月亮每天牵引潮汐两次", 0, 0, 200)])
    assert not has_known_letters([line("   ,    . i /  .", 0, 0, 600)])
