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
        "A sea. Salt is in it.  So it is.\n\n- one item\n- `two`\n\n```\nsea. Bay.\n```\nThe end.",
        "Use `the end. The` thing. [1] Yes it is. No",
        "Das ist **gut.** Und e.g. This one.\n海は塩辛い。[1]川は違う。終わり。",
    ],
)
@pytest.mark.parametrize("sources", [[], [2]])
def test_the_result_does_not_depend_on_how_the_text_is_split(text: str, sources: list[int]) -> None:
    def new() -> CitationFilter:
        return CitationFilter(len(PASSAGES), find_sources=lambda _: sources)

    whole = new()
    whole.add(text)
    whole.finish()
    dice = random.Random(7)
    for _ in range(100):
        pieces, shown, rest = new(), "", text
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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The sea is salt. Rain is not. So", "The sea is salt. [1] Rain is not. [2] So"),
        ("The sea is salt. The sea is big. So", "The sea is salt. [1] The sea is big. So"),
        ("The sea is salt. Yes. The sea it is.", "The sea is salt. [1] Yes. The sea it is. [1]"),
        ("The sea is salt.\nThe sea is big.\nSo", "The sea is salt. [1]\nThe sea is big. [1]\nSo"),
        ("The sea is salt [3]. Rain is not. So", "The sea is salt [3]. Rain is not. [2] So"),
        ("The sea is salt. [3] Rain is not. [1]", "The sea is salt. [3] Rain is not. [1]"),
        ("[3] The sea is salt. Rain is not. So", "The sea is salt. [3] Rain is not. [2] So"),
        ("Of the sea:\n- a sea is salt\n- it is\n", "Of the sea:\n- a sea is salt [1]\n- it is"),
        ("- a sea is salt and\n  big.\n- it is", "- a sea is salt and\n  big.\n- it is"),
        ("A sea is salt,\nRain is not\nSo", "A sea is salt,\nRain is not\nSo"),
        ("A sea is salt etc. Rain is not. So", "A sea is salt etc. [1] Rain is not. [2] So"),
        ("A sea of Prof. Rain's is salt. So", "A sea of Prof. Rain's is salt. [1] So"),
        ("Ein sea bzw. Meer ist salzig. So", "Ein sea bzw. Meer ist salzig. [1] So"),
        ("The sea is 3 km. J. Rain was. So", "The sea is 3 km. [1] J. Rain was. [2] So"),
        ("[3] The sea of J. Rain is. So", "The sea of J. Rain is. [3] So"),
        ("[3] The sea is 3 km. Rain is. So", "The sea is 3 km. [3] Rain is. [2] So"),
        ("海 sea。川 Rain。\n終わり。", "海 sea。 [1]川 Rain。 [2]\n終わり。"),
        ("The sea has 3%. Rain is 14. So", "The sea has 3%. [1] Rain is 14. [2] So"),
        ("1. The sea is.\n2. `Rain`. Now", "1. The sea is. [1]\n2. `Rain`. [2] Now"),
        ("# The sea\n\nThe sea, e.g. Baltic", "# The sea\n\nThe sea, e.g. Baltic"),
        ("| the sea | salt. |\n| rain | not |\n", "| the sea | salt. |\n| rain | not |"),
        ("```\nThe sea is salt.\nRain.\n```\nSo", "```\nThe sea is salt.\nRain.\n```\nSo"),
    ],
)  # fmt: skip
def test_a_sentence_without_a_number_gets_its_source(text: str, expected: str) -> None:
    def sources(sentence: str) -> list[int]:
        return [1] if "sea" in sentence else [2] if "Rain" in sentence else []

    answer = CitationFilter(3, find_sources=sources)
    shown = "".join(answer.add(f"{word} ") for word in text.split(" "))
    shown += answer.finish()
    assert shown + answer.cite_last() == answer.text == expected
    assert {int(n) for n in "123" if f"[{n}]" in expected} == answer.cited


def test_a_source_is_named_again_after_a_false_number() -> None:
    def sources(sentence: str) -> list[int]:
        return [1] if "sea" in sentence else []

    answer = CitationFilter(2, lambda numbers, _: [], find_sources=sources)
    answer.add("The sea is salt. Rain is not [2]. The sea is big. So")
    assert answer.text == "The sea is salt. [1] Rain is not. The sea is big. [1] So"
