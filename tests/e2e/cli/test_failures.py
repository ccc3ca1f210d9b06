"""The command line: settings, failures, pipes, signals and terminals."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from allma_server.cli.program import command, program
from allma_server.cli.shell import Shell
from allma_server.config import Config
from tests.e2e.cli.home import PROGRAM, SCRIPTED, Allma, Home, furnished


@pytest.fixture
def config_toml(tmp_path: Path, bare: Allma, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALLMA_CONFIG", str(tmp_path / "new" / "config.toml"))
    return tmp_path / "new" / "config.toml"


def test_a_setting_is_changed_and_comments_are_kept(bare: Allma, config_toml: Path) -> None:
    config_toml.parent.mkdir()
    config_toml.write_bytes(b'# mine\r\ntop_k = 7 # seven\r\nchat_model = "x"\r\n')
    bare("config", "set", "top_k", "9")
    assert config_toml.read_bytes() == b'# mine\r\ntop_k = 9 # seven\r\nchat_model = "x"\r\n'
    assert bare("config", "get", "top_k").stdout == "9\n"
    bare("config", "unset", "top_k")
    assert bare.json("config", "get", "top_k")["source"] == "default"


def test_settings_are_listed_with_their_origin(bare: Allma, config_toml: Path) -> None:
    bare("config", "set", "watch", "off")
    assert config_toml.read_text() == "watch = false\n"
    text = bare("config").stdout
    assert "watch = false  config.toml\n" in text
    assert "embedder = hashing/words-256  environment\n" in text
    assert "top_k = 5  default\n" in text
    listed = bare.json("config", "list")
    assert [setting["key"] for setting in listed["settings"]] == list(Config.model_fields)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("top_k", "900", "top_k must be between 1 and 50."),
        ("watch", "perhaps", "watch must be true or false."),
        ("topk", "3", "There is no setting named 'topk'."),
    ],
)
def test_an_invalid_setting_is_not_written(
    bare: Allma, config_toml: Path, key: str, value: str, sentence: str
) -> None:
    result = bare("config", "set", key, value, code=1)
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {sentence}\n")
    assert not config_toml.exists()


def test_a_setting_overridden_by_the_environment_is_reported(
    bare: Allma, config_toml: Path
) -> None:
    result = bare("config", "set", "embedder", "local/x")
    assert "ALLMA_EMBEDDER" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["index", "missing"], "path_not_found", r"missing"),
        (["index", os.path.abspath(os.sep)], "folder_not_allowed", r"\w"),
        (["ask", "--conversation", "nope", "Why?"], "conversation_not_found", r"nope"),
        (["forget", "missing"], "document_not_found", r"missing"),
        (["read", "missing.md"], "document_not_found", r"missing\.md"),
        (["config", "get", "topk"], "unknown_setting", r"Did you mean 'top_k'\?"),
        (["models"], "provider_unreachable", r"Ollama"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_an_expected_error_is_a_sentence_and_exit_code_1(
    allma: Allma, arguments: list[str], code: str, sentence: str
) -> None:
    result = allma(*arguments, code=1)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert re.search(sentence, result.stderr)
    assert "Traceback" not in result.stderr
    error = allma.json(*arguments, code=1)
    assert error["code"] == code
    assert set(error) == {"code", "message", "hint"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--solo", "mcp"], "allma-server mcp"),
        (["serch", "x"], "'search'"),
        (["conversations", "shwo", "1"], "Did you mean 'show'?"),
        (["search", "x", "-k", "99"], "-k"),
        (["search"], "QUERY"),
        (["search", "x", "--jsno"], "--json"),
        (["documents", "--state", "lost"], "indexed"),
        (["read", "x.md", "--lines", "a:b"], "10:20"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_wrong_usage_is_exit_code_2(bare: Allma, arguments: list[str], sentence: str) -> None:
    result = bare(*arguments, code=2)
    assert result.stdout == ""
    assert sentence in result.stderr


def test_a_folder_without_a_readable_file_is_an_error(allma: Allma, tmp_path: Path) -> None:
    (tmp_path / "broken.docx").write_text("this is no document")
    result = allma("index", str(tmp_path), code=1)
    assert "broken.docx" in result.stdout
    allma("forget", str(tmp_path))


def test_queries_need_no_quotes(allma: Allma, talking: Allma) -> None:
    assert ":9:Zebras eat grass" in allma("search", "zebras", "eat", "grass", "-k", "1").stdout
    assert allma.json("explain", "zebras", "eat")["query"] == "zebras eat"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["read", "docs/gudie.md"], "Did you mean {docs}/guide.md?"),
        (["read", "GUIDE.md"], "Did you mean {docs}/guide.md?"),
        (["forget", "docs/engin.py"], "Did you mean {docs}/engine.py?"),
        (["install", "cursr"], "Did you mean 'cursor'?"),
        (["install", "Claude"], "Did you mean 'claude-code'?"),
    ],
)
def test_unknown_names_get_a_suggestion(
    allma: Allma, home: Home, arguments: list[str], sentence: str
) -> None:
    assert sentence.format(docs=home.docs) in allma(*arguments, code=1).stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("arguments", [["status"], ["search", "zebras"], ["config", "--json"]])
def test_output_that_cannot_be_written_is_an_error(home: Home, arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*PROGRAM, *arguments],
            cwd=home.path,
            env=home.environment({}),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == "Error: Cannot write the output: No space left on device.\n"


@pytest.mark.parametrize("columns", ["0", "", "many", "-5", "1"])
def test_results_are_complete_in_a_terminal_of_any_width(home: Home, columns: str) -> None:
    done = home.run("search", "zebras", COLUMNS=columns)
    assert done.returncode == 0 and "guide.md:" in done.stdout, done.stderr


def test_empty_environment_variables_are_ignored(home: Home, tmp_path: Path) -> None:
    names = ("ALLMA_TOP_K", "ALLMA_OPENAI_URL", "ALLMA_WATCH", "OLLAMA_HOST", "ALLMA_CHAT_MODEL")
    done = home.run("status", "--json", **dict.fromkeys(names, ""))
    assert done.returncode == 0, done.stderr
    usual = home.run("config", "get", "data_dir", ALLMA_DATA_DIR=" ", XDG_DATA_HOME=str(tmp_path))
    assert usual.stdout.strip() == str(tmp_path / "allma")
    assert not list(home.path.glob("allma.*"))


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_text_in_any_language_works_in_every_locale(home: Home, locale: str) -> None:
    done = home.run("search", "Größe der Zebras 斑馬", LC_ALL=locale)
    assert done.returncode == 0, done.stderr
    missing = home.run("read", "Größe.md", LC_ALL=locale, PYTHONUTF8="0")
    assert missing.returncode == 1 and "is not in the index" in missing.stderr


def test_the_traceback_of_a_bug_is_logged_and_not_printed(bare: Allma, tmp_path: Path) -> None:
    trial = typer.Typer()

    @command(trial, "crash")
    async def crash(shell: Shell) -> None:
        """Crash."""
        raise ZeroDivisionError("the divisor was 0")

    whole = program("A trial.", {"trial": "crash"}, lambda _: trial)
    result = CliRunner().invoke(whole, ["crash", "--data", str(tmp_path), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["code"] == "internal_error"
    assert "Traceback" not in result.stderr
    assert "ZeroDivisionError: the divisor was 0" in (tmp_path / "logs" / "allma.log").read_text()


def test_a_closed_output_pipe_is_no_error(talking_home: Home) -> None:
    with talking_home.start("ask", "--model", "slow", "zebras " * 2000) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(1)
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0
    assert err == b""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
def test_ctrl_c_stops_a_command_cleanly(talking_home: Home, talking: Allma) -> None:
    with talking_home.start("ask", "--model", "slow", "zebras " * 2000) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.read(1)
        os.killpg(process.pid, signal.SIGINT)  # the terminal sends it to the whole group
        process.stdout.read()
        err = process.stderr.read()
    assert process.returncode == 130
    assert err == b"Stopped.\n"
    kinds = [job["kind"] for job in talking.json("status")["jobs"]]
    assert "ingest" not in kinds, "the run continues"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM to send")
def test_a_terminated_command_keeps_the_answer_so_far(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    for home in furnished(tmp_path_factory.mktemp("ended"), **SCRIPTED):
        with home.start("--solo", "ask", "--model", "slow", "--no-rag", "zebras") as process:
            assert process.stdout is not None and process.stderr is not None
            assert process.stdout.read(3) == b"You"
            process.terminate()
            process.stdout.read()
            err = process.stderr.read()
        assert (process.returncode, err) == (143, b"Stopped.\n")
        found = json.loads(home.run("--solo", "conversations", "--json").stdout)
        id = found["conversations"][0]["id"]
        shown = json.loads(home.run("--solo", "conversations", "show", id, "--json").stdout)
        assert shown["messages"][1]["content"].startswith("You")
        assert shown["messages"][1]["grounding"] == "cut_off"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("terminal", ["xterm-256color", "dumb"])
def test_progress_is_drawn_on_a_terminal_apart_from_the_report(home: Home, terminal: str) -> None:
    import pty

    screen, side = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, "index", "docs"],
        cwd=home.path,
        env=home.environment({"TERM": terminal, "COLUMNS": "40"}),
        stdout=subprocess.PIPE,
        stderr=side,
    ) as process:
        os.close(side)
        drawn = b"".join(iter(lambda: _read(screen), b""))
        report = process.stdout.read() if process.stdout else b""
    os.close(screen)
    assert process.returncode == 0
    assert b"\x1b" not in report
    assert b"unchanged" in report
    assert (b"4/4" in drawn) == (terminal != "dumb")
    assert (b"\x1b" in drawn) == (terminal != "dumb")


def _read(screen: int) -> bytes:
    try:
        return os.read(screen, 4096)
    except OSError:  # so Linux reports a closed terminal
        return b""


def test_file_names_are_printed_in_a_terminal_of_another_encoding(
    allma: Allma, tmp_path: Path
) -> None:
    (tmp_path / "Übersicht.md").write_text("# Überblick\n\nGiraffen fressen Blätter.\n")
    allma("index", str(tmp_path))
    run, ascii = allma.home.run, {"PYTHONIOENCODING": "ascii"}
    assert "?bersicht.md:" in run("search", "Giraffen", "-k", "1", **ascii).stdout
    found = json.loads(run("search", "Giraffen", "--json", **ascii).stdout)
    assert found["passages"][0]["path"] == str(tmp_path / "Übersicht.md")
    allma("forget", str(tmp_path))


# `rich` is the package of what is laid out; `rich.cells` alone, which counts columns, is light.
NOT_FOR_HELP = "rich pydantic asyncio numpy prompt_toolkit allma_server.engine".split()
NOT_FOR_SEARCH = """
    rich.console rich.text pydantic argparse tomllib tomlkit prompt_toolkit httpx chromadb mcp pygls
    onnxruntime pypdf allma_server.engine allma_server.operations allma_server.config
    allma_server.cli.progress allma_server.cli.commands.models
""".split()
NOT_FOR_LISTS = [*NOT_FOR_SEARCH, "allma_server.search.snippets"]


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--help"], NOT_FOR_HELP),
        (["search", "zebras"], [*NOT_FOR_SEARCH, "allma_server.types.status"]),
        (["status"], [*NOT_FOR_LISTS, "allma_server.types.search"]),
        (["conversations"], NOT_FOR_LISTS),
    ],
    ids=["help", "search", "status", "conversations"],
)
def test_commands_import_only_what_they_need(
    home: Home, arguments: list[str], unwanted: list[str]
) -> None:
    code = (
        "import sys\n"
        "from allma_server.__main__ import main\n"
        "try: main()\n"
        "finally: sys.stderr.write('\\n'.join(sys.modules))\n"
    )
    # With other settings than the engine's, the program reads them all itself.
    settings = ("ALLMA_EMBEDDER", "ALLMA_OLLAMA_URL", "ALLMA_VECTOR_STORE")
    environment = {k: v for k, v in home.environment({}).items() if k not in settings}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    imported = set(done.stderr.splitlines())
    assert [name for name in unwanted if name in imported] == []
