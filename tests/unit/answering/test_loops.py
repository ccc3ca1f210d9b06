"""Recognising a model that repeats itself."""

import pytest

from allma_server.answering.loops import LoopDetector


def stops_after(text: str, size: int = 4) -> int | None:
    """Return after how many characters a text is stopped."""
    loops = LoopDetector()
    for at in range(0, len(text), size):
        if loops.add(text[at : at + size]):
            return at
    return None


@pytest.mark.parametrize(
    "unit",
    [
        "The ferry crosses the harbour seven times a day. ",
        "The ferry crosses seven times. It costs three crowns for each of them. ",
        "- the lighthouse has seven gates\n",
        "and again and ",
        "ha",
        "渡し船は港を一日に七回渡ります。\n",
    ],
)
def test_a_loop_is_stopped_within_a_few_repeats(unit: str) -> None:
    stopped = stops_after("Yes, of course [1]. " + unit * 200)
    assert stopped is not None and stopped < 20 + max(12 * len(unit), 400)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"| gate {n} | built in {1800 + n} | open |" for n in range(60)),
        "# Title\n" + "-" * 300 + "\n" + "=" * 300,
        "\n".join(f"    values[{n}] = compute({n})" for n in range(80)),
        " ".join(f"Gate {n} is made of oak and was painted by hand {n} times." for n in range(60)),
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25",
    ],
)
def test_regular_text_is_no_loop(text: str) -> None:
    assert stops_after(text) is None
