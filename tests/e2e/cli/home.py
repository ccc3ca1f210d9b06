"""A user's home, and the program run in it."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from allma_server.cli import streams
from allma_server.cli.commands import app

ROOT = Path(__file__).parents[3]
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
            "ALLMA_VECTOR_STORE": "exact",
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

    def pipe(self, text: bytes, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program with a text piped to it."""
        done = subprocess.run(
            [*PROGRAM, *arguments],
            cwd=self.path,
            env=self.environment({}),
            input=text,
            capture_output=True,
            timeout=60,
        )
        return subprocess.CompletedProcess(
            arguments, done.returncode, done.stdout.decode(), done.stderr.decode()
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


def in_this_process(home: Home, monkeypatch: pytest.MonkeyPatch) -> "Allma":
    """Run the program with the environment of this home."""
    for name, value in home.environment({}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home.path)
    return Allma(home)


def run_here(
    *arguments: str, input: bytes | None = None, environment: Mapping[str, str] | None = None
) -> Result:
    """Run a command in this process, which saves importing the program again."""
    streams.prepare()
    runner = CliRunner(env=environment)
    return runner.invoke(app, arguments, input=input, prog_name="allma")


class Allma:
    def __init__(self, home: Home) -> None:
        self.home = home

    def __call__(self, *arguments: str, code: int = 0, **changes: str) -> Result:
        result = run_here(*arguments, environment=changes)
        assert result.exit_code == code, result.output
        return result

    def json(self, *arguments: str, code: int = 0, **changes: str) -> Any:
        return json.loads(self(*arguments, "--json", code=code, **changes).stdout)


def assert_like(data: Any, kind: type) -> None:
    """Check that data has exactly the fields of a type, recursively."""
    assert set(data) == {field.name for field in dataclasses.fields(kind)}
