"""Settings that are changed while an engine runs, and settings that cannot work."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli.home import run_here


@pytest.fixture(autouse=True)
def quick(isolated: Path) -> Path:
    """A settings file that makes a quick engine."""
    file = isolated / "config.toml"
    file.write_text('embedder = "hashing/words-256"\nchat_provider = "scripted"\n')
    return file


def said(file: Path) -> str:
    return file.read_text()


def say(file: Path, line: str) -> None:
    file.write_text(f"{line}\n{said(file)}")


def allma(*arguments: str, code: int = 0) -> tuple[Any, str]:
    """What a command prints as JSON, and what it says beside that."""
    result = run_here(*arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout), result.stderr


def test_settings_of_questions_take_effect_at_once(folder: Path) -> None:
    for n in range(3):
        (folder / f"sea{n}.md").write_text(f"# Sea {n}\n\nThe sea is salty, as {n} rivers know.\n")
    allma("index", str(folder))
    first, _ = allma("status")
    for model in ("slow", "echo"):
        stored, _ = allma("config", "set", "chat_model", model)
        assert stored["notice"] is None
        status, _ = allma("status")
        assert status["chat_model"] == model and status["pid"] == first["pid"]
    allma("config", "set", "top_k", "2")
    found, _ = allma("search", "salty sea")
    assert len(found["passages"]) == 2
    answer, _ = allma("ask", "Why is the sea salty?")
    assert answer["model"] == "echo" and len(answer["citations"]) <= 2


def test_settings_that_need_a_restart_say_so_until_it_is_done(folder: Path) -> None:
    allma("index", str(folder))
    stored, _ = allma("config", "set", "max_file_mb", "7")
    assert stored["notice"] == "The running engine uses 50 until `allma daemon restart`."
    listed, _ = allma("config")
    reported = {each["key"]: each["notice"] for each in listed["settings"] if each["notice"]}
    assert list(reported) == ["max_file_mb"]
    diagnosis, _ = allma("doctor")
    [settings] = [check for check in diagnosis["checks"] if check["name"] == "Settings"]
    assert settings["state"] == "warning" and "daemon restart" in settings["next_step"]
    allma("daemon", "restart")
    allma("status")
    listed, _ = allma("config")
    assert not any(each["notice"] for each in listed["settings"])


def test_the_environment_of_a_shell_applies_to_its_requests(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "more.md").write_text("# More\n\nMore salty sea than anybody needs.\n")
    allma("index", str(folder))
    monkeypatch.setenv("ALLMA_TOP_K", "1")
    monkeypatch.setenv("ALLMA_CHAT_MODEL", "slow")
    found, _ = allma("search", "salty sea")
    assert len(found["passages"]) == 1
    status, _ = allma("status")
    assert status["chat_model"] == "slow"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("embedder", "nomic"),
        ("embedder", "nobody/nomic"),
        ("chat_provider", "nobody"),
        ("chat_provider", "openai"),
        ("reranker", "nobody"),
        ("ollama_url", "http://[::1"),
        ("ollama_url", "ftp://host"),
        ("vector_store", "croma"),
        ("vector_store_url", "http://host:port"),
        ("chroma_url", "http://host:port"),
    ],
)
def test_impossible_settings_are_refused(quick: Path, key: str, value: str) -> None:
    before = said(quick)
    error, reported = allma("config", "set", key, value, code=1)
    assert error["code"] == "invalid_argument" and "Error: " in reported
    assert said(quick) == before


@pytest.mark.parametrize(
    ("key", "value", "warning"),
    [
        ("ollama_url", "UNUSED", "is not running at"),
        ("openai_url", "UNUSED", "is not running at"),
        ("vector_store_url", "UNUSED", "Nothing answers at"),
        ("chroma_url", "UNUSED", "Nothing answers at"),
        ("embedder", "ollama/nomic-embed-text", "is not running at"),
        ("embedder", "local/nomic", "no bundled model"),
        ("chat_model", "nobody:7b", "`allma models pull nobody:7b`"),
        ("reranker", "onnx//nowhere", "/nowhere does not exist"),
    ],
)
def test_unreachable_settings_are_stored_with_a_warning_that_doctor_repeats(
    quick: Path, unused_url: str, key: str, value: str, warning: str
) -> None:
    say(quick, f'ollama_url = "{unused_url}"')
    stored, _ = allma("config", "set", key, value.replace("UNUSED", unused_url))
    assert warning in stored["notice"]
    diagnosis, _ = allma("doctor")
    [settings] = [check for check in diagnosis["checks"] if check["name"] == "Settings"]
    assert settings["state"] == "warning" and warning in settings["detail"]


def test_a_question_to_an_unknown_model_creates_no_conversation() -> None:
    error, _ = allma("ask", "Why?", "--model", "nobody:7b", code=1)
    assert error["code"] == "model_not_found"
    shown, _ = allma("conversations")
    assert shown["total"] == 0


def test_only_commands_that_store_data_create_a_data_directory(
    tmp_path: Path, folder: Path
) -> None:
    nowhere = tmp_path / "nope"
    for command in (["status"], ["search", "x"], ["documents"], ["conversations"], ["doctor"]):
        error, _ = allma(*command, "--data", str(nowhere), code=1)
        assert error["code"] == "path_not_found" and str(nowhere) in error["message"]
    assert not nowhere.exists()
    report, _ = allma("index", str(folder), "--data", str(nowhere))
    assert report["indexed"] == 1
    status, _ = allma("status", "--data", str(nowhere))
    assert status["data_dir"] == str(nowhere)
    allma("daemon", "stop", "--data", str(nowhere))


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("ollama_url", "http://a b", "is not the address of a server: it contains a blank"),
        ("openai_url", "http://a:99999/v1", "is not the address of a server: its port"),
        ("chroma_url", "ftp://a", "is not the address of a server: ftp is not http"),
        ("top_k", "-1", "top_k must be between 1 and 50"),
        ("rerank_seconds", "-.5", "rerank_seconds must be"),
    ],
)
def test_a_value_that_can_never_work_is_not_stored(
    quick: Path, key: str, value: str, why: str
) -> None:
    before = said(quick)
    failed, _ = allma("config", "set", key, value, code=1)
    assert why in failed["message"]
    assert said(quick) == before


def test_a_data_directory_that_cannot_be_made_is_not_stored(quick: Path, tmp_path: Path) -> None:
    (file := tmp_path / "file").touch()
    for folder in (file, file / "data", Path("/proc/data")):
        failed, _ = allma("config", "set", "data_dir", str(folder), code=1)
        assert failed["message"].startswith(f"{folder} cannot be the data directory: ")
    allma("config", "set", "data_dir", str(tmp_path / "new" / "data"))
    assert "new" in said(quick) and not (tmp_path / "new").exists()


def test_a_reranker_that_is_no_file_is_called_what_it_is() -> None:
    stored, _ = allma("config", "set", "reranker", "onnx//dev/zero")
    assert "/dev/zero is a device, not a regular file" in stored["notice"]


def test_a_value_on_the_command_line_is_said_to_come_from_there() -> None:
    failed, _ = allma("config", "set", "top_k", "many", code=1)
    assert "the client" not in failed["hint"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\0" * 10_000_000, "The piped text is longer than 100,000 bytes."),
        (b"\0" * 1000, "What is piped is not text."),
        (b"\xff\xfe", "What is piped is not text."),
    ],
)
def test_what_is_piped_and_is_no_question_is_refused(text: bytes, said: str) -> None:
    result = run_here("ask", "-", input=text)
    assert (result.exit_code, result.stderr.splitlines()[0]) == (1, f"Error: {said}")


def test_a_piped_blank_is_no_question() -> None:
    result = run_here("ask", "-", input=b" \n")
    assert result.exit_code == 2 and "Ask something" in result.stderr


def test_a_question_can_be_piped(folder: Path) -> None:
    allma("index", str(folder))
    result = run_here("ask", "-", input=b"Why is the sea salty?\n")
    assert result.exit_code == 0 and "sea.md" in result.stdout
