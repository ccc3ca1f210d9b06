"""Lines are drawn without rich as rich draws them."""

import io
import re

import pytest
from rich.console import Console

from allma_server.cli.output import Output, Text, styled

LINE = Text.of(
    ("1. ", "dim"), Text("café.py:3", "bold cyan", "file:///café.py#L3"), " 犬", ("!", "red")
)


def drawn(text: Text, *, is_terminal: bool = True) -> str:
    file = io.StringIO()
    Output(file, is_terminal=is_terminal, width=80).print(text)
    return file.getvalue()


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("setting", ["", "NO_COLOR", "FORCE_COLOR"])
@pytest.mark.parametrize("terminal_type", ["xterm-256color", "dumb"])
@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "pipe"])
def test_the_codes_are_those_of_rich(
    monkeypatch: pytest.MonkeyPatch, setting: str, terminal_type: str, is_terminal: bool
) -> None:
    monkeypatch.setenv("TERM", terminal_type)
    if setting:
        monkeypatch.setenv(setting, "1")
    file = io.StringIO()
    Console(file=file, force_terminal=is_terminal or None, width=80).print(
        styled(LINE), soft_wrap=True
    )
    expected = re.sub(r"\x1b]8;id=\d+;", "\x1b]8;;", file.getvalue())
    assert drawn(LINE, is_terminal=is_terminal) == expected


def test_a_line_for_a_pipe_is_unchanged() -> None:
    text = "a\ttable\tof tabs" + 100 * " and a long line" + "  "
    assert drawn(Text(text, "bold"), is_terminal=False) == text + "\n"


def test_a_text_counts_columns() -> None:
    assert LINE.cell_len == len("1. café.py:3 __!")
    assert not Text() and not Text("", "bold")
