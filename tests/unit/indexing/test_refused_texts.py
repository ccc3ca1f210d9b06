"""A text without a vector is found by its words: the embedder refuses it, is away, or silent."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.indexing import batch_embedder
from allma_server.providers.embedding import served
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
    """An embedding server that refuses some texts, is away, or silent.

    `refusal`: what it answers to a batch with such a text, and the status; with a status of 200,
    a vector of zeros for that text. `away`: what it answers to all texts. It answers nothing before
    `answers` is set.
    """

    def __init__(self, status: int = 400, answer: object = None) -> None:
        self.refusal = (status, answer or {"error": "invalid input"})
        self.away: tuple[int, object] | None = None
        self.takes_everything = False
        self.answers = asyncio.Event()
        self.answers.set()

    async def __call__(self, exchange: Exchange) -> None:
        await self.answers.wait()
        if exchange.path == "/api/show":
            await exchange.answer(SHOWN)
            return
        texts = exchange.body["input"]
        if self.away is not None:
            await exchange.answer(self.away[1], self.away[0])
        elif self.takes_everything or not any(POISON in text for text in texts):
            await exchange.answer({"embeddings": [[float(len(t)), 1.0, 2.0] for t in texts]})
        elif self.refusal[0] != 200:
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


async def reasons(engine: Engine) -> dict[str, str]:
    """What `documents` says of indexed documents."""
    rows: list[Any] = (await do(engine, "documents", state="indexed")).documents
    return {Path(row.path).name: row.reason for row in rows if row.reason}


async def vectors(engine: Engine, name: str) -> int:
    """How many passages of a document have a vector of the serving embedder."""
    embedder = await engine.embedder.current()
    assert embedder is not None
    found = await engine.catalog._db.rows(
        "SELECT c.text_hash FROM chunks c JOIN documents d ON d.id = c.document_id "
        "WHERE d.path LIKE ?",
        (f"%/{name}",),
    )
    return len(await engine.catalog.cached_vectors(embedder.identity, {row[0] for row in found}))


async def missing(engine: Engine) -> int:
    embedder = await engine.embedder.current()
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
async def test_a_refused_passage_is_found_by_keywords_and_all_others_by_vectors(
    config: Config, folder: Path, status: int, answer: object
) -> None:
    sound = "Whales breathe air. " * 200
    (folder / "bad.md").write_text(f"# Bad\n\n{sound}\n\n# Worse\n\nA {POISON} text.\n")
    async with engine_with(Server(status, answer), config) as engine:
        report = await index(engine, folder)
        assert report.indexed == 21 and report.failed == []
        assert "The embedder refuses some passages" in (report.notice or "")
        assert "bad.md" in await found(engine, POISON)
        assert await missing(engine) == 0
        said = await reasons(engine)
        assert list(said) == ["bad.md"]
        assert said["bad.md"].startswith(
            "1 passage is found by keywords only: ollama/nomic-embed-text+prefixes refuses the text"
        )
        assert await vectors(engine, "bad.md") > 0 and await vectors(engine, "page1.md") == 1
        (folder / "bad.md").write_text("# Good\n\nA sound text.\n")
        assert (await do(engine, "sync")).updated == 1
        assert await reasons(engine) == {}


async def test_a_refused_passage_is_tried_again_when_its_folder_is_indexed_again(
    config: Config, folder: Path
) -> None:
    server = Server()
    async with engine_with(server, config) as engine:
        await index(engine, folder)
        assert await vectors(engine, "bad.md") == 0
        assert (await index(engine, folder)).unchanged == 20  # and one was refused again
        server.takes_everything = True
        assert (await index(engine, folder)).notice is None
        assert await vectors(engine, "bad.md") == 1
        assert await reasons(engine) == {}


async def test_a_repair_does_not_take_a_refused_passage_for_a_missing_one(
    config: Config, folder: Path
) -> None:
    async with engine_with(Server(), config) as engine:
        await index(engine, folder)
        embedder = await engine.embedder.current()
        assert embedder is not None
        assert await engine.catalog.contradictions(embedder.identity) == []


async def test_documents_are_found_by_keywords_before_a_silent_embedder_answers(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_embedder, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(served, "QUERY_SECONDS", 0.2)
    server = Server()
    server.answers.clear()
    async with engine_with(server, config) as engine:
        report = await index(engine, folder)
        assert report.indexed == 21
        assert "gave no vectors within 0.2 seconds" in (report.notice or "")
        assert "bad.md" in await found(engine, POISON)
        server.answers.set()
        async with asyncio.timeout(30):
            await engine.ingestion.wait_until_embedded()
        assert await missing(engine) == 0 and await vectors(engine, "page1.md") == 1


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
        assert list(await reasons(engine)) == ["bad.md"]
        assert "bad.md" in await found(engine, POISON)


async def test_another_embedder_tries_refused_texts_again(config: Config, folder: Path) -> None:
    async with engine_with(Server(), config) as engine:
        await index(engine, folder)
        assert list(await reasons(engine)) == ["bad.md"]
    async with open_engine(config) as engine:  # the embedder of `config` takes everything
        await do(engine, "sync")
        async with asyncio.timeout(30):
            await engine.ingestion.wait_until_embedded()
            while await reasons(engine):
                await asyncio.wait({run.task for run in engine.ingestion._jobs.runs() if run.task})
        assert "bad.md" in await found(engine, POISON)
