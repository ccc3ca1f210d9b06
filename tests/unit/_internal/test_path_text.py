"""Names that are not UTF-8 are shown in an escaped form, which is accepted as input."""

import os
import unicodedata
from pathlib import Path

import pytest

from allma_server._internal.path_text import actual, path_of_uri, readable, shown, unescaped
from allma_server.errors import InvalidArgument, as_dict

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"/w/plain.txt", "/w/plain.txt"),
        (b"/w/caf\xe9.txt", "/w/caf%E9.txt"),
        ("/w/é.txt".encode() + b"\xff\x80", "/w/é.txt%FF%80"),
        (b"/w/100%.txt", "/w/100%.txt"),
        (b"/w/a%20b.txt", "/w/a%20b.txt"),
    ],
)
def test_a_shown_name_is_converted_back(name: bytes, text: str) -> None:
    path = os.fsdecode(name)
    assert shown(path) == text
    text.encode("utf-8")
    assert unescaped(text) == path


@pytest.mark.skipif(os.name == "nt", reason="such names are refused there")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a\nb.md", "a%0Ab.md"),
        ("\x1b[2Jx\x7f\x9b.md", "%1B[2Jx%7F%C2%9B.md"),
        ("x\u202egpj.md", "x%E2%80%AEgpj.md"),
        ("\u2066a\u2069\u200f\u061c\u2028\u2029.md", None),
        ("café 🏴‍☠️ 文 שלום.md", "café 🏴‍☠️ 文 שלום.md"),
        ("caf\udce9\r.md", "caf%E9%0D.md"),
    ],
)
def test_a_misleading_name_is_escaped_and_converted_back(
    name: str, text: str | None, tmp_path: Path
) -> None:
    path = str(tmp_path / name)
    if text is not None:
        assert readable(path) == str(tmp_path / text)
    assert len(readable(path).splitlines()) == 1
    assert not any(unicodedata.bidirectional(c) in BIDI for c in readable(path))
    assert actual(readable(path)) == path


def test_an_unpaired_surrogate_has_no_bytes() -> None:
    assert shown("a\ud83d") == "a\ufffd"


def test_a_file_with_an_escaped_name_comes_first(tmp_path: Path) -> None:
    named = tmp_path / "caf%E9.txt"
    assert actual(str(named)) == str(tmp_path / "caf\udce9.txt")
    named.touch()
    assert actual(str(named)) == str(named)


@pytest.mark.skipif(os.name == "nt", reason="paths there have drives")
@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///w/caf%E9%20a.txt#L3-L4", "/w/caf\udce9 a.txt"),
        ("file:///w/%C3%A9%23.txt", "/w/é#.txt"),
        ("/w/a.txt", None),
        ("allma://document/1", None),
    ],
)
def test_the_path_of_a_uri(uri: str, path: str | None) -> None:
    assert path_of_uri(uri) == path


def test_an_error_is_valid_text_for_every_client() -> None:
    reported = as_dict(InvalidArgument("/w/caf\udce9.txt is wrong.", "Not /w/caf\udce9.txt."))
    assert (reported["message"], reported["hint"]) == (
        "/w/caf%E9.txt is wrong.",
        "Not /w/caf%E9.txt.",
    )
