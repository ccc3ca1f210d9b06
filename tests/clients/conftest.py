"""Real AI clients: a user's home with an index, and the programs from npm."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
ALLMA = str(Path(sys.executable).with_name("allma"))
SERVER = str(Path(sys.executable).with_name("allma-server"))
ZOO = "# Zoo\n\nOur zebras eat hay in winter, and grass in summer.\n"

# Where a package has a program for each platform, the one that npm chose.
NATIVE = {"claude": "@anthropic-ai/claude-code-*/claude", "opencode": "opencode-*/bin/opencode"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.clients)
            item.add_marker(pytest.mark.timeout(180))


@dataclass(frozen=True)
class Home:
    """A user's home: `docs` is indexed, clients keep their settings here."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        """As little as clients hand on: what else matters must be in their configuration."""
        kept = {k: os.environ[k] for k in ("PATH", "LANG") if k in os.environ}  # noqa: TID251
        return kept | {"HOME": str(self.path)}

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "ALLMA_DATA_DIR": str(self.path / "data"),
            "ALLMA_CONFIG": str(self.path / "allma.toml"),
            "ALLMA_EMBEDDER": "hashing/words-256",
            "ALLMA_OLLAMA_URL": "http://127.0.0.1:9",
        }

    def allma(self, *arguments: str) -> str:
        return self.run([ALLMA, *arguments], **self.settings)

    def client(self, name: str, *arguments: str, **variables: Any) -> str:
        return self.run([*program(name), *arguments], **variables)

    def run(
        self, command: list[str], *, code: int = 0, seconds: float = 150, **variables: str
    ) -> str:
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def program(name: str) -> list[str]:
    """The command of a client, by the name npm gives it."""
    if pattern := NATIVE.get(name):
        found = sorted(MODULES.glob(pattern))
        assert found, f"npm ci --ignore-scripts --prefix {HERE} has not been run"
        # Where there are several, the plainest runs on every processor.
        return [str(found[-1])]
    path = MODULES / ".bin" / name
    assert path.exists(), f"npm ci --ignore-scripts --prefix {HERE} has not been run"
    node = shutil.which("node")
    assert node is not None, "node is not installed"
    return [node, str(path)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("home"))
    (home.path / "docs").mkdir()
    (home.path / "docs" / "zoo.md").write_text(ZOO)
    home.allma("index", "docs")
    yield home
    home.allma("daemon", "stop")


@pytest.fixture(scope="module")
def entry(home: Home) -> dict[str, Any]:
    """How a client without a place of its own starts the server: command, args and env."""
    return {"command": SERVER, "args": ["mcp"], "env": home.settings}


@pytest.fixture(scope="module")
def config(home: Home, entry: dict[str, Any]) -> Path:
    """The entry in the form that most clients read."""
    path = home.path / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"allma": entry}}))
    return path


@dataclass(frozen=True)
class Served:
    """Where MCP is served, and the header of a user who reads."""

    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture(scope="module")
def served(home: Home) -> Iterator[Served]:
    token = json.loads(home.allma("tokens", "add", "ann", "--json"))["token"]
    with subprocess.Popen(
        [ALLMA, "serve", "--port", "0", "--json"],
        env=home.environment | home.settings,
        cwd=home.path,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in range(3))
        yield Served(f"{json.loads(said)['url']}/mcp", token)
        process.terminate()
