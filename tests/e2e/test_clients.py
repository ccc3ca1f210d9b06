"""Installing Allma in AI clients, and the check of the installation."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from allma_server.integrations import AI_CLIENTS, handshake
from allma_server.integrations.install import find_client
from tests.e2e.cli.home import Home

SILENT = ["-c", "import sys; sys.stdin.read()"]
LOUD = ["-c", "print('hello')"]
LEAVING = ["-c", "raise SystemExit('no such thing')"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def run(home: Home, *arguments: str) -> Any:
    where = {"HOME": str(home.path), "USERPROFILE": str(home.path), "XDG_CONFIG_HOME": ""}
    # AI clients hand no such folder on, and their server has to be stopped in the end.
    where["XDG_RUNTIME_DIR"] = ""
    done = home.run(*arguments, "--json", **where)
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def ready(home: Home) -> Iterator[Home]:
    """A home where Cursor has Allma, in an engine that is running."""
    code, done = run(home, "install", "cursor", "--workspace", str(home.path / "docs"))
    assert code == 0 and done["written"]
    yield home
    run(home, "daemon", "stop")


def test_an_installed_client_is_listed_and_its_server_answers(ready: Home) -> None:
    _, listed = run(ready, "install")
    states = {client["client"]: client["state"] for client in listed["clients"]}
    assert list(states) == [client.name for client in AI_CLIENTS]
    assert [name for name, state in states.items() if state == "installed"] == ["cursor"]
    code, diagnosis = run(ready, "doctor", "--client", "cursor")
    assert code == 0 and diagnosis["healthy"], diagnosis
    details = {check["name"]: check["detail"] for check in diagnosis["checks"]}
    assert list(details) == ["Configuration", "Program", "Handshake", "Tools", "Call"]
    assert "MCP 2025-11-25" in details["Handshake"]
    assert details["Tools"].startswith("8: search, ask, read")


def test_a_client_that_is_not_installed_is_checked_with_the_new_entry(ready: Home) -> None:
    code, diagnosis = run(ready, "doctor", "--client", "goose")
    assert code == 0
    assert diagnosis["checks"][0]["state"] == "warning"
    assert diagnosis["checks"][0]["next_step"] == "Run `allma install goose`."
    assert diagnosis["checks"][-1]["state"] == "ok"


@pytest.mark.parametrize(
    ("entry", "step", "sentence"),
    [
        ({"command": "/no/such/program"}, "Program", "cannot be started"),
        ({"command": "no-such-program"}, "Program", "is not found"),
        ({"command": sys.executable, "args": LOUD}, "Handshake", "'hello'"),
        ({"command": sys.executable, "args": LEAVING}, "Handshake", "no such thing"),
        ({"url": "http://127.0.0.1/mcp"}, "Configuration", "starts no program"),
        ({"command": "x", "disabled": True}, "Configuration", "is disabled"),
    ],
)
def test_a_broken_entry_is_reported_with_the_next_step(
    tmp_path: Path, entry: dict[str, Any], step: str, sentence: str
) -> None:
    file = tmp_path / ".cursor" / "mcp.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"mcpServers": {"allma": entry}}))
    code, diagnosis = run(Home(tmp_path), "doctor", "--client", "cursor")
    assert code == 1
    [failed, *_] = [check for check in diagnosis["checks"] if check["state"] == "failed"]
    assert failed["name"] == step and sentence in failed["detail"]
    assert failed["next_step"]


def test_a_silent_server_is_reported_after_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setattr(handshake, "DEADLINE_SECONDS", 0.3)
    file = tmp_path / ".cursor" / "mcp.json"
    file.parent.mkdir()
    entry = {"command": sys.executable, "args": SILENT}
    file.write_text(json.dumps({"mcpServers": {"allma": entry}}))
    diagnosis = asyncio.run(handshake.check_client(find_client("cursor")))
    assert not diagnosis.healthy
    assert "no answer to initialize" in diagnosis.checks[-1].detail
