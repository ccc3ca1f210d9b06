"""What is piped to the program."""

import io
import os
import sys
from pathlib import Path

import pytest

from allma_server.cli import stdin
from allma_server.cli.stdin import piped_text
from allma_server.errors import InvalidArgument


def test_a_pipe_to_which_nobody_writes_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdin, "FIRST_BYTE_SECONDS", 0.0)
    reading, writing = os.pipe()
    with open(reading) as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        assert piped_text() is None
        os.write(writing, b"late\n")
        os.close(writing)
        assert piped_text() == "late"
        assert piped_text(expected=True) == ""


def test_only_files_and_pipes_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("of a file")
    for name, text in ((str(tmp_path / "text"), "of a file"), ("/dev/null", ""), ("/dev/zero", "")):
        if os.path.exists(name):
            with open(name) as file:
                monkeypatch.setattr(sys, "stdin", file)
                assert piped_text() == text


@pytest.mark.parametrize("piped", [b"\xff\xfe", b"a\0b"])
def test_what_is_not_text_is_refused(monkeypatch: pytest.MonkeyPatch, piped: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
    with pytest.raises(InvalidArgument, match="not text"):
        piped_text()
