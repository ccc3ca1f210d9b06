"""README is run: every command in it does what it says, and its tables are generated."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from allma_server.config import Config

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str, section: str | None = None) -> list[str]:
    text = README if section is None else README.split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def settings_table() -> str:
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for key, field in Config.model_fields.items():
        default = field.get_default(call_default_factory=False)
        shown = "the user's data folder" if key == "data_dir" else f"`{default}`"
        rows.append(f"| `{key}` | {'' if default is None and key != 'data_dir' else shown} "
                    f"| {field.description} |")  # fmt: skip
    return "\n".join(rows)


def test_the_settings_table_is_the_settings() -> None:
    written = re.search(r"<!-- settings: begin -->\n(.*?)<!-- settings: end -->", README, re.S)
    assert written is not None
    assert written[1].strip() == settings_table(), f"write this table:\n{settings_table()}"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "docs").mkdir()
    (folder / "src").mkdir()
    (folder / "docs" / "guide.md").write_text("# Guide\n\nRequests are retried five times.\n")
    (folder / "docs" / "logo.png").write_bytes(b"\x89PNG")
    (folder / "src" / "client.py").write_text("RETRY_LIMIT = 5\n\n\ndef request():\n    ...\n")
    return folder


def test_the_shell_commands_work_in_this_order(sample: Path) -> None:
    [block] = blocks("sh", "In the shell")
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "allma"
        done = subprocess.run(
            [sys.executable, "-m", "allma_server", *arguments],
            cwd=sample,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        if "search" in line or " ask " in line:
            assert "client.py:1" in done.stdout, done.stdout


def test_the_mcp_entry_starts_a_server_that_answers() -> None:
    [entry] = blocks("json")
    server = json.loads(entry)["mcpServers"]["allma"]
    assert server["command"] == "allma-server"
    asked = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "readme", "version": "0"},
        },
    }
    done = subprocess.run(
        [sys.executable, "-m", "allma_server", *server["args"]],
        input=json.dumps(asked) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(done.stdout.splitlines()[0])["result"]["serverInfo"]["name"] == "allma"


def test_the_commands_of_start_are_the_ones_that_ci_runs() -> None:
    first, second = blocks("sh", "Start")
    assert first.strip().startswith("pip install . && allma ask --in . ")
    assert second.strip() == 'pip install ".[test]" && python -m pytest'


def test_every_path_that_the_architecture_names_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    table = text.split("## Code map")[1].split("## Invariants")[0]
    named = {
        n for row in re.findall(r"^\| (.+?) \|", table, re.M) for n in re.findall(r"`(.+?)`", row)
    }
    package = ROOT / "allma_server"
    assert {name for name in named if not (package / name).exists()} == set()
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in package.iterdir()
        if not path.name.startswith("__") and path.name != "py.typed"
    }
    assert rooms - named == set(), "rooms that the map does not name"
