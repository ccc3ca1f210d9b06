"""Broken and hostile model servers are reported with the reason, in bounded memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from allma_server.errors import by_code
from tests.ollama.hostile import CASES

ROOT = Path(__file__).parents[4]
MOST_MB = 50


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, Any]]:
    """All cases, run in a process of their own, whose memory nothing else uses."""
    program = [sys.executable, "-m", "tests.benchmarks.hostile_servers", "--json"]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return {result["case"]: result for result in json.loads(done.stdout)}


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_server_is_reported_in_bounded_memory(
    name: str, results: dict[str, dict[str, Any]]
) -> None:
    result, case = results[name], CASES[name]
    assert case.words in result["said"]
    assert issubclass(by_code(result["kind"]), case.kind)
    assert result["grown_mb"] is None or result["grown_mb"] < MOST_MB
