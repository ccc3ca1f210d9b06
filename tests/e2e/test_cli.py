"""The command line as users and scripts run it."""

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from allma_server import __version__, types
from allma_server.cli import streams
from allma_server.cli.commands import app
from allma_server.cli.program import command, program
from allma_server.cli.shell import Shell
from allma_server.config import Config

ROOT = Path(__file__).parent.parent.parent
PROGRAM = [sys.executable, "-m", "allma_server"]

SCRIPTED = {"ALLMA_CHAT_PROVIDER": "scripted", "ALLMA_CHAT_MODEL": "echo"}

GUIDE = """# Guide

## Installing the engine

The engine is installed with one command, and needs Python 3.11.

## Feeding zebras

Zebras eat grass, and want water at noon.
"""
CODE = '''def open_engine(config):
    """Open the engine over a data directory."""
    return Engine(config)
'''


@dataclasses.dataclass(frozen=True)
class Home:
    """A user's folder, with the program's settings, data and engine beside it.

    `settings`: of the engine, which all commands share.
    """

    path: Path
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def docs(self) -> Path:
        return self.path / "docs"

    def environment(self, changes: Mapping[str, str]) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("ALLMA_")}  # noqa: TID251
        return kept | {
            "ALLMA_CONFIG": str(self.path / "config.toml"),
            "ALLMA_DATA_DIR": str(self.path / "data"),
            "ALLMA_OLLAMA_URL": "http://127.0.0.1:9",
            "ALLMA_EMBEDDER": "hashing/words-256",
            "XDG_RUNTIME_DIR": str(self.path),
            "PYTHONPATH": str(ROOT),
            **self.settings,
            **changes,
        }

    def start(self, *arguments: str, **changes: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=self.path,
            env=self.environment(changes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **changes) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(
            arguments, process.returncode, out.decode("utf-8"), err.decode("utf-8")
        )


def furnished(path: Path, **settings: str) -> Iterator[Home]:
    """Create a home with documents; its engine stops after the test."""
    home = Home(path, settings)
    home.docs.mkdir()
    (home.docs / "guide.md").write_text(GUIDE)
    (home.docs / "engine.py").write_text(CODE)
    (home.docs / "broken.docx").write_text("this is no document")
    (home.docs / "empty.md").write_text("")
    yield home
    assert home.run("daemon", "stop").returncode == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Create a home without indexed documents."""
    yield from furnished(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def talking_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Create a home with a chat model."""
    for home in furnished(tmp_path_factory.mktemp("talking"), **SCRIPTED):
        assert home.run("index", "docs").returncode == 0
        yield home


@pytest.fixture(scope="module")
def home(folder: Home) -> Home:
    """Index the documents of the home."""
    home = folder
    done = home.run("index", "docs")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^new +2$", done.stdout, re.M)
    assert f"docs{os.sep}broken.docx\n    " in done.stdout
    return home


def in_this_process(home: Home, monkeypatch: pytest.MonkeyPatch) -> "Allma":
    """Run the program in this process, which saves importing it again."""
    for name, value in home.environment({}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home.path)
    streams.prepare()
    return Allma(home)


@pytest.fixture
def bare(folder: Home, monkeypatch: pytest.MonkeyPatch) -> "Allma":
    return in_this_process(folder, monkeypatch)


@pytest.fixture
def talking(talking_home: Home, monkeypatch: pytest.MonkeyPatch) -> "Allma":
    return in_this_process(talking_home, monkeypatch)


@pytest.fixture
def allma(bare: "Allma", home: Home) -> "Allma":
    """The same, with indexed documents."""
    return bare


class Allma:
    def __init__(self, home: Home) -> None:
        self.home = home

    def __call__(self, *arguments: str, code: int = 0, **changes: str) -> Result:
        result = CliRunner(env=changes).invoke(app, arguments, prog_name="allma")
        assert result.exit_code == code, result.output
        return result

    def json(self, *arguments: str, code: int = 0, **changes: str) -> Any:
        return json.loads(self(*arguments, "--json", code=code, **changes).stdout)


def assert_like(data: Any, kind: type) -> None:
    """Check that data has exactly the fields of a type, recursively."""
    assert set(data) == {field.name for field in dataclasses.fields(kind)}


# --- results ------------------------------------------------------------------------------------


def test_search_prints_locations_that_editors_open(allma: Allma) -> None:
    result = allma("search", "zebras", "-k", "1")
    assert result.stdout.startswith(f"1. docs{os.sep}guide.md:")
    assert "Zebras eat grass" in result.stdout
    assert "\x1b" not in result.output


def test_search_respects_the_glob_and_the_workspace(allma: Allma, tmp_path: Path) -> None:
    found = allma.json("search", "engine", "--path", "**/*.py", "--workspace", "docs")
    assert_like(found, types.SearchResult)
    assert_like(found["passages"][0], types.Passage)
    assert {Path(p["path"]).name for p in found["passages"]} == {"engine.py"}


def test_a_search_without_results_says_so(allma: Allma) -> None:
    result = allma("search", "engine", "--path", "**/*.rs")
    assert result.stdout == ""
    assert "No indexed file matches '**/*.rs'" in result.stderr


def test_indexing_a_folder_again_reports_it_unchanged(allma: Allma) -> None:
    report = allma.json("index", "docs")
    assert_like(report, types.IngestReport)
    assert report["indexed"] == report["updated"] == 0
    assert report["unchanged"] >= 2
    assert_like(allma.json("sync"), types.IngestReport)
    assert_like(allma.json("sync", "docs"), types.IngestReport)


@pytest.mark.parametrize("place", ["docs/guide.md:3-3", "docs/guide.md#L3"])
def test_read_accepts_a_printed_location(allma: Allma, place: str) -> None:
    assert allma.json("read", place)["text"] == "## Installing the engine"


def test_sync_and_status_report_a_deleted_folder(allma: Allma, tmp_path: Path) -> None:
    (folder := tmp_path / "gone").mkdir()
    (folder / "a.md").write_text("A lamp.\n")
    allma("index", str(folder))
    shutil.rmtree(folder)
    done = allma.home.run("sync", str(folder))
    assert f"{folder} no longer exists" in " ".join(done.stderr.split())
    assert "No files to index" not in done.stderr and done.returncode == 1
    assert f"{folder} no longer exists" in " ".join(allma("status").stdout.split())
    allma("forget", str(folder))


def test_documents_are_listed_with_their_reasons(allma: Allma) -> None:
    text = allma("documents").stdout
    assert re.search(r"^indexed  \w+ +\d+  docs.guide\.md$", text, re.M)
    assert re.search(r"^failed .* docs.broken\.docx\n    \w", text, re.M)
    page = allma.json("documents", "--state", "failed", "--workspace", "docs")
    assert_like(page, types.DocumentPage)
    assert_like(page["documents"][0], types.DocumentRow)
    assert [row["state"] for row in page["documents"]] == ["failed"]


def test_an_empty_list_names_the_filter_or_the_empty_index(allma: Allma) -> None:
    empty = allma.home.docs / "empty"
    empty.mkdir(exist_ok=True)
    filtered = allma("documents", "--state", "failed", "--workspace", str(empty))
    assert "No failed documents in " in filtered.stderr
    assert "No documents indexed" not in filtered.stderr
    assert "No conversation contains 'xyzzy'." in allma("conversations", "list", "xyzzy").stderr


def test_read_prints_only_the_lines(allma: Allma) -> None:
    path = os.path.join("docs", "guide.md")
    assert allma("read", path, "--lines", "1:3").stdout == "".join(GUIDE.splitlines(True)[:3])
    assert_like(allma.json("read", path), types.Excerpt)
    chunk = allma.json("search", "zebras", "-k", "1")["passages"][0]["chunk_id"]
    assert "Zebras" in allma("read", str(chunk)).stdout


def test_status_and_doctor_describe_the_engine(allma: Allma) -> None:
    status = allma.json("status")
    assert_like(status, types.Status)
    assert_like(status["workspaces"][0], types.WorkspaceStatus)
    assert status["workspaces"][0]["path"] == str(allma.home.docs)
    assert f"docs\n    {status['workspaces'][0]['documents']} documents" in allma("status").stdout
    diagnosis = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert_like(diagnosis, types.Diagnosis)
    shown = CliRunner().invoke(app, ["doctor"])
    assert shown.exit_code == (0 if diagnosis["healthy"] else 1)
    for check in diagnosis["checks"]:
        assert check["name"] in shown.stdout
        assert (check["next_step"] or "") in shown.stdout


def test_an_export_can_be_imported_elsewhere_and_repaired(allma: Allma, tmp_path: Path) -> None:
    file, there = str(tmp_path / "copy.allma"), str(tmp_path / "there")
    assert "copy.allma" in allma("export", file).stdout
    assert "there" in allma("import", file, "--data", there, "--solo").stdout
    repaired = allma.json("doctor", "--repair", "--data", there, "--solo")
    assert_like(repaired, types.Diagnosis)
    assert repaired["healthy"]
    assert "guide.md" in allma("search", "feeding zebras", "--data", there, "--solo").stdout


def test_forget_does_not_change_the_files(home: Home, allma: Allma, tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("# Note\n\nA passing remark about giraffes.\n")
    allma("index", str(tmp_path))
    report = allma.json("forget", str(tmp_path))
    assert_like(report, types.ForgetReport)
    assert report["documents"] == 1
    assert report["workspace_removed"]
    assert (tmp_path / "note.md").exists()


def test_search_by_meaning_works_without_settings(folder: Home, tmp_path: Path) -> None:
    home, empty = Home(tmp_path), {"ALLMA_EMBEDDER": "auto"}
    done = home.run("index", str(folder.docs), **empty)
    assert done.returncode == 0, done.stderr
    found = home.run("search", "food of striped animals", "-k", "1", "--json", **empty)
    assert "Zebras eat grass" in json.loads(found.stdout)["passages"][0]["text"]
    assert home.run("daemon", "stop").returncode == 0


# --- answers ------------------------------------------------------------------------------------


def test_without_a_model_ask_shows_the_passages(allma: Allma) -> None:
    result = allma("ask", "What do zebras eat?")
    assert "Ollama" in result.stdout.splitlines()[0]
    assert "Zebras eat grass" in result.stdout
    answer = allma.json("ask", "What do zebras eat?")
    assert_like(answer, types.Answer)
    assert answer["mode"] == "passages_only"


def test_an_answer_is_streamed_with_its_sources(talking_home: Home) -> None:
    done = talking_home.run("ask", "What do zebras eat?")
    assert done.returncode == 0, done.stderr
    text, sources = done.stdout.split("\nSources\n")
    assert "[1]" in text
    assert re.search(r"^\[1\] docs.guide\.md:\d+$", sources, re.M)
    assert "Continue: allma ask --conversation " in done.stderr


def test_a_conversation_can_be_continued_and_managed(talking: Allma) -> None:
    first = talking.json("ask", "What do zebras eat?")
    id = first["conversation_id"]
    assert talking.json("ask", "And when?", "--conversation", id)[
        "conversation_id"
    ] == id  # fmt: skip
    shown = talking.json("conversations", "show", id)
    assert_like(shown, types.Conversation)
    assert [message["role"] for message in shown["messages"]] == ["user", "assistant"] * 2
    assert "Zebras" in talking("conversations", "rename", id, "Zebras").stderr
    renamed = talking.json("conversations", "rename", id, "About zebras")
    assert_like(renamed, types.Conversation)
    assert re.search(rf"^{id} .* 4  About zebras$", talking("conversations").stdout, re.M)
    assert talking("conversations", "list").stdout == talking("conversations").stdout
    assert "What do zebras eat?" in talking("conversations", "show", id).stdout
    assert talking("conversations", "export", id).stdout.startswith("# About zebras\n")
    assert_like(talking.json("conversations", "export", id), types.Export)
    assert_like(talking.json("conversations"), types.ConversationPage)
    assert_like(talking.json("conversations", "delete", id), types.Done)
    assert talking.json("conversations", "show", id, code=1)["code"] == "conversation_not_found"


def test_ask_in_a_folder_indexes_it_and_answers_only_from_it(
    talking: Allma, tmp_path: Path
) -> None:
    (tmp_path / "zoo.md").write_text("# Zoo\n\nOur zebras eat hay in winter.\n")
    answer = talking.json("ask", "--in", str(tmp_path), "What do zebras eat?")
    assert {c["passage"]["path"] for c in answer["citations"]} == {str(tmp_path / "zoo.md")}
    talking("forget", str(tmp_path))


def test_a_plain_chat_has_no_sources(talking: Allma) -> None:
    answer = talking.json("ask", "--no-rag", "--model", "echo", "Hello there")
    assert answer["citations"] == []
    assert "Hello there" in answer["text"]


def test_models_are_listed_shown_pulled_selected_and_deleted(talking: Allma) -> None:
    models = talking.json("models")
    assert_like(models, types.ModelList)
    assert_like(models["models"][0], types.ModelInfo)
    assert re.search(r"^● +echo\b", talking("models", "list").stdout, re.M)
    assert_like(talking.json("models", "show", "echo"), types.ModelInfo)
    assert_like(talking.json("models", "pull", "echo"), types.Done)
    assert "slow now writes the answers" in talking("models", "use", "slow").stdout
    assert_like(talking.json("models", "delete", "slow"), types.Done)
    assert_like(talking.json("models", "pull", "slow"), types.Done)


# --- options ------------------------------------------------------------------------------------


def test_common_options_are_accepted_before_and_after_the_command(
    bare: Allma, tmp_path: Path
) -> None:
    data = str(tmp_path / "elsewhere")
    after = bare("config", "get", "data_dir", "--json", "--data", data)
    before = bare("--data", data, "--json", "config", "get", "data_dir")
    between = bare("config", "--json", "get", "--data", data, "data_dir", "--solo")
    assert after.stdout == before.stdout == between.stdout
    assert json.loads(after.stdout)["value"] == data
    assert json.loads(after.stdout)["source"] == "command line"


def test_version_prints_the_version(bare: Allma) -> None:
    assert bare("--version").stdout == f"allma {__version__}\n"


def test_the_help_lists_every_command(bare: Allma) -> None:
    text = bare("--help").stdout
    for name in (
        "index search ask documents forget conversations models status doctor read sync config "
        "lsp mcp"
    ).split():
        assert re.search(rf"^  {name}  +[A-Z]", text, re.M), name


# --- settings -----------------------------------------------------------------------------------


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


# --- failures -----------------------------------------------------------------------------------


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
        (["serch", "x"], "Did you mean 'search'?"),
        (["conversations", "shwo", "1"], "Did you mean 'show'?"),
        (["search", "x", "-k", "99"], "-k"),
        (["search"], "query"),
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
    assert "Feeding zebras" in allma("search", "zebras", "eat", "grass", "-k", "1").stdout
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
    trial = program("A trial.")

    @command(trial, "crash")
    async def crash(shell: Shell) -> None:
        """Crash."""
        raise ZeroDivisionError("the divisor was 0")

    result = CliRunner().invoke(trial, ["crash", "--data", str(tmp_path), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["code"] == "internal_error"
    assert "Traceback" not in result.stderr
    assert "ZeroDivisionError: the divisor was 0" in (tmp_path / "logs" / "allma.log").read_text()


# --- pipes, signals, terminals ------------------------------------------------------------------


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
    assert "ingest" not in kinds, "the run goes on"


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
    except OSError:  # so Linux says that nobody writes there any more
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


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--help"], {"rich", "pydantic", "asyncio", "numpy", "allma_server.engine"}),
        (["search", "zebras"], {"chromadb", "mcp", "pygls", "onnxruntime", "tomlkit", "pypdf"}),
    ],
    ids=["help", "search"],
)
def test_commands_import_only_what_they_need(
    home: Home, arguments: list[str], unwanted: set[str]
) -> None:
    code = (
        "import sys\n"
        "from allma_server.__main__ import main\n"
        "try: main()\n"
        "finally: sys.stderr.write('\\n'.join(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=home.environment({}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert not unwanted & set(done.stderr.splitlines())
