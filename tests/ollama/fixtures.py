"""Addresses of model servers: `ollama` of a running one, `unused_url` of none."""

import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_ANSWER = 120
"""Tokens: some seconds on a slow machine, and long enough to be stopped in the middle."""


@contextmanager
def serving(
    *models: str, longest_answer: int = LONGEST_ANSWER, stderr: int | None = None
) -> Generator[str]:
    """The address of an Ollama-compatible server over small real models, and over these."""
    program = [sys.executable, "-m", "tests.ollama.server", "--max-answer", str(longest_answer)]
    with subprocess.Popen(
        [*program, *models], cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
            server.wait(10)


@pytest.fixture(scope="session")
def ollama() -> Iterator[str]:
    """A model server for the whole session."""
    with serving() as url:
        yield url


@pytest.fixture
def unused_url() -> Iterator[str]:
    """An address that refuses connections: the port is bound, but not listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
