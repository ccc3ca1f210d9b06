"""A configured reranker in a search: its order, its scores, its time limit and its absence."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from allma_server.config import Config
from allma_server.engine import open_engine
from allma_server.operations import BY_NAME
from allma_server.types import Explanation, Passage, SearchResult
from tests.unit.providers.reranking.networks import cross_encoder
from tests.unit.search.corpus import indexed

TEXTS = {
    "a.txt": "The service is billing. A service, a service: billing.",
    "b.txt": "Which port? 7443 is the port of billing.",
    "c.txt": "Billing service of the service.",
}
QUERY = "billing service"


def names(result: SearchResult) -> list[str]:
    return [Path(passage.path).name for passage in result.passages]


async def test_a_configured_cross_encoder_decides_the_order(config: Config, tmp_path: Path):
    # Its vocabulary is these words, so only they affect its scores.
    folder = cross_encoder(tmp_path / "model", "port billing")
    settings = config.model_copy(update={"reranker": f"onnx/{folder}"})
    async with open_engine(settings) as engine:
        call = await indexed(engine, tmp_path / "texts", TEXTS)
        found = await BY_NAME["search"](call, {"query": "billing service, port"})
        explained: Explanation = await BY_NAME["explain"](call, {"query": "billing service, port"})
    assert names(found)[0] == "b.txt"
    assert found.notice is None
    scores = [passage.score for passage in found.passages]
    assert scores == sorted(scores, reverse=True)
    best = explained.candidates[0]
    assert explained.reranker == f"onnx/{folder}"
    assert best.reranked and (best.reranked.rank, best.reranked.score) == (1, 2.0)


async def test_an_unavailable_reranker_is_skipped_with_a_notice(config: Config, tmp_path: Path):
    async with open_engine(config.model_copy(update={"reranker": "onnx//no/where"})) as engine:
        call = await indexed(engine, tmp_path / "texts", TEXTS)
        found = await BY_NAME["search"](call, {"query": QUERY})
        plain = await BY_NAME["search"](
            replace(call, engine=replace(engine, reranker=None)), {"query": QUERY}
        )
    assert found.notice is not None
    assert found.notice.startswith("Reranking by onnx//no/where was skipped: The reranker's file")
    assert found.passages == plain.passages


class Endless:
    """A reranker that never returns; `cancelled` is set when it is stopped."""

    name = "endless"
    cancelled = False

    async def rerank(self, question: str, passages: Sequence[Passage]) -> list[float]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return []


async def test_a_slow_reranker_is_cancelled_with_a_notice(config: Config, tmp_path: Path):
    async with open_engine(config.model_copy(update={"rerank_seconds": 0.01})) as engine:
        call = await indexed(engine, tmp_path / "texts", TEXTS)
        endless = Endless()
        slow = replace(call, engine=replace(engine, reranker=endless))
        found = await BY_NAME["search"](slow, {"query": QUERY})
        plain = await BY_NAME["search"](call, {"query": QUERY})
    assert endless.cancelled
    assert found.notice == (
        "Reranking by endless was skipped: it took longer than rerank_seconds (0.01)."
    )
    assert found.passages == plain.passages


async def test_a_chat_model_reranks(config: Config, tmp_path: Path):
    async with open_engine(config.model_copy(update={"reranker": "chat/echo"})) as engine:
        call = await indexed(engine, tmp_path / "texts", TEXTS)
        # The scripted model repeats the last line of the prompt, which names no passage.
        found = await BY_NAME["search"](call, {"query": QUERY})
        assert found.notice is None and found.passages


@pytest.mark.parametrize("model", ["chat/none", "chat/vector", "chat/broken"])
async def test_an_unavailable_chat_model_is_skipped_with_a_notice(
    config: Config, tmp_path: Path, model: str
):
    async with open_engine(config.model_copy(update={"reranker": model})) as engine:
        call = await indexed(engine, tmp_path / "texts", TEXTS)
        found = await BY_NAME["search"](call, {"query": QUERY})
    assert found.notice is not None and found.notice.startswith(f"Reranking by {model} was skip")
    assert found.passages
