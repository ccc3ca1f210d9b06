"""Line endings are the same for texts and for files that are read in blocks."""

import random
from collections.abc import Iterator

import pytest

from allma_server._internal.lines import lines_of, lines_with_ends, split_lines
from tests.seeds import seeds


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\n\nb", ["a", "", "b"]),
        ("a\r\nb\rc\n", ["a", "b", "c"]),
        ("\n", [""]),
        ("\r\n\r", ["", ""]),
        ("a\fb\vc\x85d\u2028e\u2029f\x1cg", ["a\fb\vc\x85d\u2028e\u2029f\x1cg"]),
    ],
)
def test_line_endings(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines
    assert "".join(lines_with_ends(text)) == text
    assert [line.rstrip("\r\n") for line in lines_with_ends(text)] == lines


def blocks(data: bytes, random_: random.Random) -> Iterator[bytes]:
    while data:
        size = random_.randint(1, 3)
        yield data[:size]
        data = data[size:]


@pytest.mark.seeds
@pytest.mark.parametrize("seed", seeds(50, 5000))
def test_a_file_read_in_blocks_has_the_lines_of_its_text(seed: int) -> None:
    random_ = random.Random(seed)
    text = "".join(random_.choices(["a", "é", "\n", "\r", "\r\n", "\f", "\u2028"], k=30))
    lines = split_lines(text)
    first = random_.randint(1, 12)
    last = random_.choice([None, first, first + 3])
    found = lines_of(blocks(text.encode(), random_), first, last, 1000)
    assert [line.decode() for line in found.lines] == lines[first - 1 : last]
    assert found.total == len(lines)


def test_only_the_requested_lines_are_kept() -> None:
    endless = (b"x" * 1000 for _ in range(1000))
    found = lines_of(endless, 1, None, 50)
    assert (len(found.lines), len(found.lines[0]), found.total) == (1, 49, 1)
