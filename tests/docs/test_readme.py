"""README is run: every command in it does what it says, and its tables are generated."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from allma_server.config import Config
from allma_server.integrations import CLIENTS

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
    [entry] = blocks("json", "In your AI client (MCP)")
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


def test_the_commands_for_ai_clients_work_in_this_order(isolated: Path) -> None:
    [block] = blocks("sh", "In your AI client (MCP)")
    said = ""
    for line in block.splitlines():
        done = subprocess.run(
            [sys.executable, "-m", "allma_server", *shlex.split(line)[1:]],
            cwd=ROOT,
            env={**os.environ, "HOME": str(isolated), "USERPROFILE": str(isolated)},  # noqa: TID251
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        said = done.stdout
    assert "allma" in json.loads((isolated / ".claude.json").read_text())["mcpServers"]
    assert "8: search, ask" in said


def test_the_clients_that_are_named_are_those_that_are_known() -> None:
    section = README.split("## In your AI client (MCP)\n")[1].split("\n## ")[0]
    named = re.search(r"Known are (.*?);", section, re.S)
    assert named is not None
    assert re.findall(r"`(.+?)`", named[1]) == [client.name for client in CLIENTS]


def test_the_snippets_for_editors_start_the_server() -> None:
    section = "In your editor (LSP)"
    [helix] = [tomllib.loads(block) for block in blocks("toml", section)]
    assert helix["language-server"]["allma"] == {"command": "allma-server", "args": ["lsp"]}
    kate, sublime = [json.loads(block) for block in blocks("json", section)]
    assert sublime["clients"]["allma"]["command"] == ["allma-server", "lsp"]
    assert kate["servers"]["markdown"]["command"] == ["allma-server", "lsp"]
    [emacs] = blocks("elisp", section)
    assert '("allma-server" "lsp")' in emacs and emacs.count("(") == emacs.count(")")


def test_the_registry_of_mcp_servers_can_see_that_the_package_is_ours() -> None:
    entry = json.loads((ROOT / "extensions" / "mcp-registry" / "server.json").read_text("utf-8"))
    assert f"<!-- mcp-name: {entry['name']} -->" in README
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert len(entry["description"]) <= 100
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [package] = entry["packages"]
    # Launchers run the script that is named like the package.
    assert package["identifier"] == project["name"] and project["name"] in project["scripts"]
    words = [a["value"] for a in package["packageArguments"] if a["type"] == "positional"]
    assert words == ["mcp"]


def test_the_commands_of_start_are_the_ones_that_ci_runs() -> None:
    first, second = blocks("sh", "Start")
    assert first.strip().startswith("pip install . && allma ask --in . ")
    assert second.strip() == 'pip install ".[test]" && python -m pytest -n logical'


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
    for folder, files in re.findall(r"^\| `(\w+)/`.*? \| (.+) \|", table, re.M):
        inside = re.findall(r"`(\w+(?:\.py|/))`", files)
        assert [name for name in inside if not (package / folder / name).exists()] == []
