"""Send a few hundred mutated messages; `python -m tests.benchmarks.fuzz` sends more."""

from pathlib import Path

import pytest

from tests.fuzzing import PROTOCOLS, run
from tests.fuzzing_http import run_http


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_EMBEDDER", "hashing/words-256")
    monkeypatch.setenv("ALLMA_CHAT_PROVIDER", "scripted")
    monkeypatch.setenv("ALLMA_VECTOR_STORE", "exact")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_every_mutated_request_is_answered(protocol: str, folder: Path) -> None:
    outcome = await run(protocol, folder, 300, seed=1)
    assert outcome.faults == []
    assert sum(outcome.answers.values()) > 200


async def test_every_mutated_http_request_is_answered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLMA_RATE_LIMIT", "100000/second")
    outcome = await run_http(300, seed=1)
    assert outcome.faults == []
    assert {"200", "400", "401", "404"} <= outcome.answers.keys()
