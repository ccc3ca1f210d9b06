"""Send a few hundred mutated messages; `python -m tests.benchmarks.fuzz` sends more."""

from pathlib import Path

import pytest

from tests.fuzzing import PROTOCOLS, run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_EMBEDDER", "hashing/words-256")
    monkeypatch.setenv("ALLMA_CHAT_PROVIDER", "scripted")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_every_mutated_request_is_answered(protocol: str, folder: Path) -> None:
    outcome = await run(protocol, folder, 300, seed=1)
    assert outcome.faults == []
    assert sum(outcome.answers.values()) > 200
