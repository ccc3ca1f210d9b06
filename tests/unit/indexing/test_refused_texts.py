"""A text that the embedder does not take fails one document; an embedder that is away, none."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from tests.ollama.wire import Exchange, serving
from tests.unit.indexing.test_ingestion import do, found, index

SHOWN = {"capabilities": ["embedding"], "model_info": {"nomic-bert.embedding_length": 3}}
POISON = "poison"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    for number in range(20):
        (folder / f"page{number}.md").write_text(f"# Page {number}\n\nAbout whale {number}.\n")
    (folder / "bad.md").write_text(f"# Bad\n\nA {POISON} text.\n")
    return folder


class Server:
    """An embedding server that refuses some texts, or is away.

    `refusal`: what it answers to a batch with such a text, and the status; with a status of 200,
    a vector of zeros for that text. `away`: what it answers to all texts.
    """

    def __init__(self, status: int = 400, answer: object = None) -> None:
        self.refusal = (status, answer or {"error": "invalid input"})
        self.away: tuple[int, object] | None = None

    async def __call__(self, exchange: Exchange) -> None:
        if exchange.path == "/api/show":
            await exchange.answer(SHOWN)
            return
        texts = exchange.body["input"]
        if self.away is not None:
            await exchange.answer(self.away[1], self.away[0])
        elif self.refusal[0] != 200 and any(POISON in text for text in texts):
            await exchange.answer(self.refusal[1], self.refusal[0])
        else:
            vectors = [[0.0] * 3 if POISON in t else [float(len(t)), 1.0, 2.0] for t in texts]
            await exchange.answer({"embeddings": vectors})


@asynccontextmanager
async def engine_with(server: Server, config: Config) -> AsyncGenerator[Engine]:
    async with serving(server) as wire:
        changes = {"embedder": "ollama/nomic-embed-text", "ollama_url": wire.url}
        async with open_engine(config.model_copy(update=changes)) as engine:
            yield engine


async def failed(engine: Engine) -> dict[str, str]:
    rows: list[Any] = (await do(engine, "documents", state="failed")).documents
    return {Path(row.path).name: row.reason for row in rows}


async def missing(engine: Engine) -> int:
    embedder = await engine.embedder.serving()
    assert embedder is not None
    return await engine.catalog.count_missing_vectors(embedder.identity)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, {"error": "invalid input"}),
        (400, None),
        (422, {"error": {"message": "Input should be a valid string"}}),
        (500, {"error": "json: unsupported value: NaN"}),
        (400, {"error": "the input length exceeds the context length"}),
        (200, "a vector of zeros"),
    ],
)
async def test_a_refused_text_fails_its_document_and_no_other(
    config: Config, folder: Path, status: int, answer: object
) -> None:
    async with engine_with(Server(status, answer), config) as engine:
        report = await index(engine, folder)
        assert report.indexed == 20 and report.notice is None
        assert [Path(failure.path).name for failure in report.failed] == ["bad.md"]
        assert report.failed[0].reason.startswith("The embedder does not accept all of its text: ")
        assert await missing(engine) == 0
        assert list(await failed(engine)) == ["bad.md"]
        (folder / "bad.md").write_text("# Good\n\nA sound text.\n")
        assert (await do(engine, "sync")).updated == 1
        assert await failed(engine) == {}


@pytest.mark.parametrize("away", [(401, {"error": "no key"}), (400, {"error": "bad request"})])
async def test_a_failing_embedder_fails_no_document(
    config: Config, folder: Path, away: tuple[int, object]
) -> None:
    server = Server()
    server.away = away
    async with engine_with(server, config) as engine:
        report = await index(engine, folder)
        assert report.indexed == 21 and report.failed == []
        assert "found by keywords only" in (report.notice or "")
        assert "bad.md" in await found(engine, POISON)
        server.away = None
        await do(engine, "sync")
        async with asyncio.timeout(30):
            await engine.ingestion.wait_until_embedded()
        # What was waiting is embedded, and only now is it known that one text is refused.
        assert await missing(engine) == 0
        assert list(await failed(engine)) == ["bad.md"]


async def test_another_embedder_tries_refused_texts_again(config: Config, folder: Path) -> None:
    async with engine_with(Server(), config) as engine:
        assert len((await index(engine, folder)).failed) == 1
    async with open_engine(config) as engine:  # the embedder of `config` takes everything
        await do(engine, "sync")
        async with asyncio.timeout(30):
            await engine.ingestion.wait_until_embedded()
            while await failed(engine):
                await asyncio.wait({run.task for run in engine.ingestion._jobs.runs() if run.task})
        assert "bad.md" in await found(engine, POISON)
