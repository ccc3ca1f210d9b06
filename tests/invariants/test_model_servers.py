"""Model servers start and stop: the embedder stays the same, and everything else continues."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.types import LOCAL
from tests.ollama.wire import Exchange, serving
from tests.unit.answering.test_ask import line
from tests.unit.providers.embedding.test_served import sound

NOMIC = "ollama/nomic-embed-text"
MINILM = "local/all-MiniLM-L6-v2-int7"


async def both(exchange: Exchange) -> None:
    """Start an Ollama that embeds and chats."""
    if exchange.path == "/api/chat":
        await exchange.begin()
        await exchange.lines(line("The sea is salty [1]."), line(done="stop"))
    elif exchange.path == "/api/show" and exchange.body["model"].startswith("llama3.2"):
        await exchange.answer({"capabilities": ["completion"]})
    else:
        await sound(exchange)


def settings(tmp_path: Path, url: str) -> Config:
    folder = tmp_path / "docs"
    folder.mkdir(exist_ok=True)
    (folder / "sea.md").write_text("The sea is salty because rivers carry minerals.\n")
    return Config(data_dir=tmp_path / "data", ollama_url=url, watch=False)


async def embedder_after_indexing(engine: Engine, tmp_path: Path) -> str:
    await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(tmp_path / "docs")]})
    return (await BY_NAME["status"](Call(engine, LOCAL), {})).embedder.name


@pytest.mark.invariant(6)
async def test_stopping_ollama_does_not_change_the_embedder(tmp_path: Path) -> None:
    async with serving(both) as ollama, open_engine(settings(tmp_path, ollama.url)) as engine:
        assert await embedder_after_indexing(engine, tmp_path) == NOMIC
    async with open_engine(settings(tmp_path, ollama.url)) as engine:
        assert await embedder_after_indexing(engine, tmp_path) == NOMIC


@pytest.mark.invariant(6)
async def test_starting_ollama_does_not_change_the_embedder(
    tmp_path: Path, unused_url: str
) -> None:
    async with open_engine(settings(tmp_path, unused_url)) as engine:
        assert await embedder_after_indexing(engine, tmp_path) == MINILM
    async with serving(both) as ollama, open_engine(settings(tmp_path, ollama.url)) as engine:
        assert await embedder_after_indexing(engine, tmp_path) == MINILM
    assert ollama.bodies("/api/embed") == []


@pytest.mark.invariant(7)
async def test_without_ollama_keyword_search_works_and_answers_return_with_it(
    tmp_path: Path,
) -> None:
    async with serving(both) as ollama:
        config = settings(tmp_path, ollama.url)
        async with open_engine(config) as engine:
            await embedder_after_indexing(engine, tmp_path)
    async with open_engine(config) as engine:
        found = await BY_NAME["search"](Call(engine, LOCAL), {"query": "salty sea"})
        assert found.passages and "Ollama" in found.notice
        answer = await BY_NAME["ask"](Call(engine, LOCAL), {"question": "Why is the sea salty?"})
        assert answer.mode == "passages_only" and answer.citations
        async with serving(both, urlsplit(ollama.url).port or 0):
            answer = await BY_NAME["ask"](
                Call(engine, LOCAL), {"question": "Why is the sea salty?"}
            )
            assert answer.mode == "generated", answer.notice
