"""The command line: results, answers and options."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from allma_server import __version__, types
from allma_server.cli.commands import app
from tests.e2e.cli.home import (
    GUIDE,
    Allma,
    Home,
    assert_like,
)


def test_search_prints_locations_that_editors_open(allma: Allma) -> None:
    result = allma("search", "zebras", "-k", "1")
    assert result.stdout.startswith(f"docs{os.sep}guide.md:9:Zebras eat grass")
    assert "\x1b" not in result.output


def test_search_respects_the_glob_and_the_workspace(allma: Allma, tmp_path: Path) -> None:
    found = allma.json("search", "engine", "--path", "**/*.py", "--workspace", "docs")
    assert_like(found, types.SearchResult)
    assert_like(found["passages"][0], types.Passage)
    assert {Path(p["path"]).name for p in found["passages"]} == {"engine.py"}


def test_a_search_without_results_says_so(allma: Allma) -> None:
    result = allma("search", "engine", "--path", "**/*.rs", code=1)
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
