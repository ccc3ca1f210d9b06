"""Addresses of model servers: `ollama` of a running one, `unused_url` of none."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_ANSWER = 120
"""Tokens: some seconds on a slow machine, and long enough to be stopped in the middle."""


@pytest.fixture(scope="session")
def ollama() -> Iterator[str]:
    """An Ollama-compatible server over real models, one for the whole session."""
    command = [sys.executable, "-m", "tests.ollama.server", "--max-answer", str(LONGEST_ANSWER)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
            server.wait(10)


@pytest.fixture
def unused_url() -> Iterator[str]:
    """Where connections are refused: the port is taken, but nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
