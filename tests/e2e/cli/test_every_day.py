"""The command line as a tool of every day: searches, questions and pipes."""

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cli.home import Allma, Home

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")

if sys.platform != "win32":
    from tests.e2e.cli.terminal import on_terminal

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"


@pytest.fixture
def zoo(talking: Allma, tmp_path: Path) -> Iterator[Path]:
    """Another indexed folder."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    (folder / "zoo.md").write_text("# Zoo\n\nOur zebras eat hay in winter.\n")
    talking("index", str(folder))
    yield folder
    talking("forget", str(folder))


def test_a_search_covers_the_workspace_of_the_current_folder(
    talking: Allma, zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = talking("search", "zebras").stdout
    assert "guide.md:9:" in everything and "zoo.md:3:" in everything
    monkeypatch.chdir(zoo)
    assert talking("search", "zebras").stdout == "zoo.md:3:Our zebras eat hay in winter.\n"
    assert "guide.md" in talking("search", "zebras", "--all").stdout
    assert "guide.md" in talking("search", "zebras", "--workspace", str(talking.home.docs)).stdout
    answer = talking.json("ask", "What do zebras eat?")
    assert {c["passage"]["path"] for c in answer["citations"]} == {str(zoo / "zoo.md")}
    assert len(talking.json("ask", "What do zebras eat?", "--all")["citations"]) > 1
    refused = talking("search", "zebras", "--all", "--workspace", str(zoo), code=2)
    assert "--workspace and --all" in refused.stderr


def test_a_search_finds_what_was_saved_a_moment_ago(talking: Allma, zoo: Path) -> None:
    (zoo / "new.md").write_text("The okapi arrived today.\n")
    assert "new.md:1:The okapi" in talking("search", "okapi").stdout
    (zoo / "new.md").write_text("# News\n\nThe okapi left again.\n")
    assert "new.md:3:The okapi left" in talking("search", "okapi").stdout
    (zoo / "new.md").unlink()
    assert "new.md" not in talking("search", "okapi", "--files").output


def test_a_search_that_finds_nothing_fails_as_grep_does(talking: Allma, zoo: Path) -> None:
    (zoo / "empty").mkdir()
    result = talking("search", "zebras", "--workspace", str(zoo / "empty"), code=1)
    assert result.stdout == ""
    found = talking.json("search", "zebras", "--workspace", str(zoo / "empty"), code=1)
    assert found["passages"] == []


def test_a_search_says_when_it_has_no_better_passages_than_these(
    talking: Allma, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearest = "No passage has these words; these are the closest in meaning.\n"
    assert talking("search", "qzxvwk").stderr == nearest
    for words in ("zebras", "guide.md", "zeb*", "what is it"):
        assert talking("search", words).stderr == ""
    monkeypatch.chdir(tmp_path)
    assert talking("search", "hay").stderr == ""  # the folder contains an indexed one
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    for command in (["search"], ["ask"]):
        assert "This folder is not indexed" in talking(*command, "zebras").stderr
        assert "not indexed" not in talking(*command, "zebras", "--all").stderr


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("how are requests retried", "ask how are requests retried"),
        ("'why is it slow?'", "ask 'why is it slow?'"),
        ("grep zebras", "search"),
        ("logs", "conversations"),
    ],
)
def test_a_habit_of_other_programs_is_answered_with_the_command(
    bare: Allma, line: str, meant: str
) -> None:
    assert f"Did you mean `allma {meant}`?" in bare(*shlex.split(line), code=2).stderr


def test_short_options_are_those_of_other_programs(talking: Allma) -> None:
    assert "engine.py" not in talking("search", "engine", "-g", "*.md").stdout
    assert talking.json("ask", "-m", "echo", "zebras")["model"] == "echo"


def test_each_line_of_a_piped_search_is_a_line_of_a_file(talking: Allma, zoo: Path) -> None:
    lines = talking("search", "engine", "python", "zebras", "--context", "1").stdout.splitlines()
    assert len(lines) > 3
    for line in lines:
        if line != "--":
            found = re.fullmatch(r"(.+?)([:-])(\d+)\2(.*)", line)
            assert found, line
            rows = (talking.home.path / found[1]).read_text().split("\n")
            assert rows[int(found[3]) - 1] == found[4]


def test_the_context_of_a_passage_is_that_of_its_file(talking: Allma, zoo: Path) -> None:
    (zoo / "long.md").write_text("".join(f"Number {n} of the rows.\n\n" for n in range(400)))
    text = talking("search", "number 250", "-k", "1", "-C", "40", "--workspace", str(zoo)).stdout
    assert "long.md:501:Number 250" in text
    assert "long.md-461-Number 230" in text and "long.md-541-Number 270" in text
    (zoo / "long.md").unlink()


def test_names_of_files_are_for_other_programs(talking: Allma, zoo: Path) -> None:
    (zoo / os.fsdecode(b"caf\xe9.md")).write_text("Zebras do not drink coffee.\n")
    done = talking.home.start("search", "zebras", "--files", "--workspace", str(zoo))
    names = done.communicate(timeout=60)[0].split(b"\n")[:-1]
    assert sorted(map(os.path.basename, names)) == [b"caf\xe9.md", b"zoo.md"]
    assert all(map(os.path.exists, names))
    assert talking.json("search", "zebras", "--files", "-k", "1")[0].endswith(".md")
    (zoo / os.fsdecode(b"caf\xe9.md")).unlink()


def test_a_terminal_shows_the_numbers_of_the_lines_and_links_to_them(talking: Allma) -> None:
    drawn = on_terminal(talking.home, "search", "zebras", "grass", "-k", "1")
    assert re.search(r"^1\. docs/guide\.md:9\n.*^ +9  Zebras eat grass", drawn.text, re.M | re.S)
    assert f";file://{talking.home.docs}/guide.md#L9\x1b\\".encode() in drawn.drawn
    plain = on_terminal(talking.home, "search", "zebras", "-k", "1", TERM="dumb")
    assert b"\x1b" not in plain.drawn and "Zebras eat grass" in plain.text
    grey = on_terminal(talking.home, "search", "zebras", "-k", "1", NO_COLOR="1")
    assert b"\x1b[33" not in grey.drawn and b"\x1b[1;33" not in grey.drawn
    old = on_terminal(talking.home, "search", "zebras", "-k", "1", VTE_VERSION="7000")
    assert b"guide.md\x1b\\" in old.drawn


@pytest.mark.parametrize("columns", [20, 80, 120])
def test_no_line_is_wider_than_the_terminal_but_for_its_path(talking: Allma, columns: int) -> None:
    drawn = on_terminal(talking.home, "search", "engine", "python", columns=columns)
    wide = [line for line in drawn.lines if len(line) > columns]
    assert all("docs/" in line for line in wide), wide


def test_neither_secrets_nor_control_characters_reach_the_terminal(
    talking: Allma, zoo: Path
) -> None:
    (zoo / "evil.md").write_text(f"The heron\x1b]0;owned\x07 has the token {TOKEN}\x9b31m\n")
    drawn = on_terminal(talking.home, "search", "heron", "--workspace", str(zoo))
    read = on_terminal(talking.home, "read", str(zoo / "evil.md"))
    piped = talking("search", "heron", "--workspace", str(zoo)).stdout.encode()
    for seen in (drawn.drawn, read.drawn, piped):
        assert b"heron" in seen and TOKEN.encode() not in seen
        assert b"\x1b]0;" not in seen and b"\xc2\x9b" not in seen
    (zoo / "evil.md").unlink()


def test_a_question_goes_on_with_the_latest_conversation(talking: Allma, tmp_path: Path) -> None:
    first = talking.json("ask", "What do zebras eat?")["conversation_id"]
    assert talking.json("ask", "-c", "And when?")["conversation_id"] == first
    assert talking.json("ask", "--conversation", first[:8], "Why?")["conversation_id"] == first
    assert len(talking.json("conversations", "show", first[:6])["messages"]) == 6
    unknown = talking.json("conversations", "show", first[:2], code=1)
    assert unknown["code"] == "conversation_not_found"
    both = talking("ask", "-c", "--conversation", first, "Why?", code=2)
    assert "choose one of" in both.stderr
    empty = ("--data", str(tmp_path / "new"), "--solo")
    assert "No conversations yet" in talking("ask", "-c", "Why?", *empty, code=1).stderr


def test_piped_text_belongs_to_the_question(talking_home: Home) -> None:
    text = f"Traceback: the pump stalled.\nAPI token: {TOKEN}\n".encode()
    done = talking_home.pipe(text, "ask", "why", "did", "it", "fail", "--json")
    answer = json.loads(done.stdout)
    sources = [c["passage"] for c in answer["citations"] if c["passage"]["document_id"] == 0]
    assert "the pump stalled" in sources[0]["text"] and TOKEN not in done.stdout
    shown = talking_home.run("conversations", "show", answer["conversation_id"]).stdout
    assert "why did it fail" in shown and "the pump stalled" in shown and TOKEN not in shown
    assert "the pump" not in talking_home.run("search", "pump stalled").stdout
    alone = talking_home.pipe(text, "ask", "--no-rag", "why", "--json")
    assert len(json.loads(alone.stdout)["citations"]) == 1


def test_a_piped_question_needs_a_dash_or_nothing(talking_home: Home) -> None:
    for words in (["-"], []):
        done = talking_home.pipe(b"Hello from a pipe\n", "ask", "--no-rag", *words)
        assert "Hello from a pipe" in done.stdout, done.stderr
    assert "Ask something" in talking_home.run("ask").stderr
    long = talking_home.pipe(b"x" * 100_001, "ask", "why")
    assert long.returncode == 1 and "longer than 100,000 bytes" in long.stderr


def test_ask_is_narrowed_to_a_glob(talking: Allma) -> None:
    answer = talking.json("ask", "open engine zebras", "--path", "**/*.py")
    assert {Path(c["passage"]["path"]).name for c in answer["citations"]} == {"engine.py"}


def test_a_closed_pipe_ends_a_search_quietly(talking_home: Home) -> None:
    with talking_home.start("search", "zebras", "engine") as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
