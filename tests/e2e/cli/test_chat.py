"""A chat in a terminal, sources in an editor, the help and completion."""

import os
import re
import shlex
import stat
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from allma_server.cli.commands import app
from allma_server.cli.editor import command_line
from tests.e2e.cli.home import Allma, Home

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from tests.e2e.cli.terminal import terminal


@pytest.fixture
def editor(tmp_path: Path) -> Path:
    """Return a program that looks like an editor and writes down its arguments."""
    program = tmp_path / "bin" / "vim"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{shlex.quote(str(tmp_path))}/opened\n')
    program.chmod(0o700)
    return program


def opened(editor: Path) -> list[str]:
    return (editor.parent.parent / "opened").read_text().splitlines()


def test_a_chat_answers_shows_sources_and_opens_them(
    talking: Allma, talking_home: Home, editor: Path
) -> None:
    with terminal(talking_home, "chat", EDITOR=str(editor)) as chat:
        chat.expect("Ctrl-D ends")
        chat.expect("> ")
        chat.send("What do zebras eat?\r")
        chat.expect(r"You asked.*Sources\n\[1\] docs/guide.md:\d+.*> ")
        chat.send("/open 1\r")
        chat.expect(r"/open 1 *\n.*> ")  # the line with the command is drawn again
        assert opened(editor)[0].startswith("+") and opened(editor)[1].endswith("docs/guide.md")
        chat.send("And when?\\\rAt noon?\x1b\rOr later?\r")
        chat.expect("You asked.*> ")
        chat.send("/open 99\r")
        chat.expect("no source 99.*> ")
        chat.send("\x04")
        assert chat.end() == 0
    id = re.findall("allma chat --conversation (.*)", chat.text)[0].strip()
    asked = [m["content"] for m in talking.json("conversations", "show", id)["messages"][::2]]
    assert asked == ["What do zebras eat?", "And when?\nAt noon?\nOr later?"]
    history = Path(talking.json("config", "get", "data_dir")["value"]) / "chat_history"
    assert "What do zebras eat?" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_ctrl_c_stops_an_answer_and_the_chat_goes_on(talking_home: Home) -> None:
    with terminal(talking_home, "chat", "--no-rag") as chat:
        chat.expect("> ")
        chat.send("/model slow\r")
        chat.expect("slow answers from now on.*> ")
        chat.send("Tell me everything.\r")
        chat.expect("You")
        chat.send("\x03")
        assert "^C" not in chat.expect("Stopped.*> ")
        chat.send("dropped\x03")
        chat.expect("> ")
        chat.send("/model echo\r")
        chat.expect("echo answers.*> ")
        chat.send("Are you there?\r")
        chat.expect("You asked.*there.*> ")
        chat.send("/quit\r")
        assert chat.end() == 0


def test_commands_of_a_chat_are_completed_and_suggested(talking_home: Home) -> None:
    with terminal(talking_home, "chat", "-c") as chat:
        chat.expect("Continuing: .*> ")
        chat.send("/sou\t")
        chat.expect("/sources")
        chat.send("\r")
        chat.expect("no sources yet.*> ")
        chat.send("/hlep\r")
        chat.expect(r"There is no command /hlep.*Try /help.*> ")
        chat.send("/workspace docs\r")
        chat.expect("Answers come from .*docs.*> ")
        chat.send("/workspace /nope\r")
        chat.expect("not inside an indexed workspace.*> ")
        chat.send("/help\r")
        chat.expect("/workspace .*Alt-Enter.*> ")
        chat.send("\x04")
        assert chat.end() == 0


@pytest.mark.parametrize("changes", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_chat_works_in_plain_terminals(talking_home: Home, changes: dict[str, str]) -> None:
    with terminal(talking_home, "chat", columns=20, **changes) as chat:
        chat.expect("> ")
        chat.send("zebras\r")
        chat.expect("You asked.*> ")
        chat.send("\x04")
        assert chat.end() == 0


def test_a_chat_without_a_terminal_names_the_next_step(talking: Allma) -> None:
    result = talking("chat", code=1)
    assert "A chat needs a terminal." in result.stderr and "allma ask -c" in result.stderr


def test_a_source_is_opened_by_its_number(
    talking: Allma, editor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", str(editor))
    talking("search", "zebras grass", "-k", "1")
    talking("open", "1")
    assert opened(editor) == ["+9", str(talking.home.docs / "guide.md")]
    assert talking("open", "1", "--print").stdout == "docs/guide.md\n"
    talking("ask", "open_engine")
    talking("open", "1")
    assert "There is no source 77." in talking("open", "77", code=1).stderr
    monkeypatch.setenv("VISUAL", "/nope/editor")
    assert "Set VISUAL or EDITOR" in talking("open", "1", code=1).stderr


@pytest.mark.parametrize(
    ("editor", "line", "command"),
    [
        ("vim", 3, ["vim", "+3", "/a b"]),
        ("code --wait", 3, ["code", "--wait", "--goto", "/a b:3"]),
        ("hx", 3, ["hx", "/a b:3"]),
        ("kate", 3, ["kate", "--line", "3", "/a b"]),
        ("my-editor -x", 3, ["my-editor", "-x", "/a b"]),
        ("'/opt/my editor/nano'", None, ["/opt/my editor/nano", "/a b"]),
    ],
)
def test_known_editors_open_the_line(editor: str, line: int | None, command: list[str]) -> None:
    assert command_line(editor, "/a b", line) == command


def test_the_settings_file_is_edited_and_checked(
    talking: Allma, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config" / "config.toml"
    monkeypatch.setenv("ALLMA_CONFIG", str(file))
    for line, code in (("top_k = 7", 0), ("top_k = 900", 1)):
        program = tmp_path / "edit"
        program.write_text(f'#!/bin/sh\necho "{line}" >"$1"\n')
        program.chmod(0o700)
        monkeypatch.setenv("VISUAL", str(program))
        result = talking("config", "edit", code=code)
        assert file.read_text() == f"{line}\n"
    assert "top_k must be between 1 and 50" in result.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_help_groups_the_commands_and_gives_examples(bare: Allma) -> None:
    text = bare("--help").stdout
    titles = re.findall(r"^(\w.*):$", text, re.M)
    assert titles[:3] == ["Options", "Search and ask", "Index"]
    assert "Examples:\n  allma search " in bare("search", "--help").stdout


def test_the_examples_of_the_help_are_valid() -> None:
    whole = get_command(app)
    for name, command in whole.commands.items():  # type: ignore[attr-defined]
        options = {option for parameter in command.params for option in parameter.opts}
        for line in (command.epilog or "").splitlines():
            words = shlex.split(re.sub(r"^.*?\| (?=allma)|(?<! )$| \| .*", "", line))
            assert words[:2] == ["allma", name], line
            assert {word for word in words if word.startswith("-")} <= options, line


def completed(home: Home, line: str) -> list[str]:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    return home.run(_ALLMA_COMPLETE="complete_bash", **words).stdout.split()


def test_values_are_completed_by_the_running_engine(talking: Allma, talking_home: Home) -> None:
    id = talking.json("ask", "zebras")["conversation_id"]
    assert id in completed(talking_home, "allma conversations show ")
    assert completed(talking_home, "allma ask --model e") == ["echo"]
    assert completed(talking_home, "allma search x --workspace ") == [str(talking_home.docs)]
    assert completed(talking_home, "allma config get top") == ["top_k"]


def test_completion_starts_no_engine(tmp_path: Path) -> None:
    assert completed(Home(tmp_path), "allma conversations show ") == []
    assert not list(tmp_path.rglob("*.sock")) and not (tmp_path / "data").exists()
    assert os.listdir(tmp_path) in ([], ["allma"])
