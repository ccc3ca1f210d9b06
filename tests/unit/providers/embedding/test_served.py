"""Embedding by a server that answers as scripted."""

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from allma_server.config import Config
from allma_server.engine import open_engine
from allma_server.errors import (
    InvalidArgument,
    ModelNotFound,
    ModelUnsuitable,
    ProviderBusy,
    ProviderError,
    ProviderUnreachable,
)
from allma_server.operations import BY_NAME
from allma_server.operations.call import Call
from allma_server.providers.embedding import open_embedder, resolve_embedder, served
from allma_server.providers.embedding.cards import card_of
from allma_server.types import LOCAL
from tests.ollama.wire import Exchange, Wire, serving

SHOWN = {"capabilities": ["embedding"], "model_info": {"nomic-bert.embedding_length": 3}}
TAGS = {"models": [{"name": "nomic-embed-text:latest"}, {"name": "llama3.2:latest"}]}


def vector_of(text: str) -> list[float]:
    return [float(len(text)), float(text.count("e")), 1.0]


async def sound(exchange: Exchange) -> None:
    """An Ollama whose vectors tell which text they are of."""
    if exchange.path == "/api/show":
        await exchange.answer(SHOWN)
    elif exchange.path == "/api/tags":
        await exchange.answer(TAGS)
    else:
        vectors = [vector_of(text) for text in exchange.body["input"]]
        await exchange.answer({"embeddings": vectors})


def config(wire: Wire) -> Config:
    return Config(ollama_url=wire.url)


def texts_sent(wire: Wire) -> list[list[str]]:
    return [body["input"] for body in wire.bodies("/api/embed")]


async def test_nomic_gets_its_prefixes_and_does_not_truncate() -> None:
    async with serving(sound) as wire:
        async with open_embedder("ollama/nomic-embed-text", config(wire)) as embedder:
            await embedder.embed_documents(["a fox"])
            await embedder.embed_query("which animal")
            assert embedder.identity == "ollama/nomic-embed-text+prefixes"
            assert (embedder.dimensions, embedder.max_tokens) == (3, 2048)
    assert texts_sent(wire) == [["search_document: a fox"], ["search_query: which animal"]]
    assert all(body["truncate"] is False for body in wire.bodies("/api/embed"))


@pytest.mark.parametrize(
    ("model", "document", "query"),
    [
        ("nomic-embed-text:v1.5", "search_document: ", "search_query: "),
        ("mxbai-embed-large", "", "Represent this sentence for searching relevant passages: "),
        ("snowflake-arctic-embed:33m", "", "Represent this sentence for searching relevant "),
        ("snowflake-arctic-embed2", "", "query: "),
        ("jeffh/intfloat-multilingual-e5-large:f16", "passage: ", "query: "),
        ("bge-m3", "", ""),
        ("BGE-large-en-v1.5", "", "Represent this sentence for searching relevant passages: "),
        ("all-minilm", "", ""),
        ("something-new", "", ""),
    ],
)
def test_known_models_have_the_prefixes_of_their_cards(
    model: str, document: str, query: str
) -> None:
    card = card_of(model)
    assert card.document == document
    assert card.query.startswith(query) and bool(card.query) == bool(query)


async def test_many_texts_are_sent_in_batches_and_returned_in_order() -> None:
    texts = ["e" * n for n in range(40)]
    async with serving(sound) as wire:
        async with open_embedder("ollama/plain", config(wire)) as embedder:
            vectors = await embedder.embed_documents(texts)
    assert [len(batch) for batch in texts_sent(wire)] == [16, 16, 8]
    expected = np.array([vector_of(text or ".") for text in texts], np.float32)
    np.testing.assert_allclose(vectors, expected / np.linalg.norm(expected, axis=1)[:, None])


async def test_a_text_over_the_limit_does_not_affect_its_batch() -> None:
    async def script(exchange: Exchange) -> None:
        texts = (exchange.body or {}).get("input", [])
        if any(len(text) > 500 for text in texts):
            reason = {"error": "the input length exceeds the context length"}
            await exchange.answer(reason, 400)
        else:
            await sound(exchange)

    texts = ["one", "two words", "much too long " * 100, "three", "four"]
    async with serving(script) as wire:
        async with open_embedder("ollama/plain", config(wire)) as embedder:
            vectors = await embedder.embed_documents(texts)
    expected = np.array([vector_of(text) for text in texts], np.float32)
    expected /= np.linalg.norm(expected, axis=1)[:, None]
    np.testing.assert_allclose(vectors[[0, 1, 3, 4]], expected[[0, 1, 3, 4]], rtol=1e-6)
    # The long one has the mean of its parts, which point where the whole would.
    assert float(vectors[2] @ expected[2]) > 0.99


async def test_a_text_refused_at_any_length_is_an_error() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/embed":
            reason = {"error": "the input length exceeds the context length"}
            await exchange.answer(reason, 400)
        else:
            await sound(exchange)

    async with serving(script) as wire:
        async with open_embedder("ollama/plain", config(wire)) as embedder:
            with pytest.raises(ProviderError, match="too long"):
                await embedder.embed_documents(["word " * 300])


async def test_a_busy_server_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/embed" and len(wire.bodies("/api/embed")) < 3:
            await exchange.answer({"error": "server busy, please try again."}, 503)
        else:
            await sound(exchange)

    monkeypatch.setattr(served, "RETRY_SECONDS", (0.0, 0.0))
    async with serving(script) as wire:
        async with open_embedder("ollama/plain", config(wire)) as embedder:
            assert len(await embedder.embed_documents(["one"])) == 1


async def test_retries_of_a_busy_server_have_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/embed":
            await exchange.answer({"error": "server busy"}, 503)
        else:
            await sound(exchange)

    monkeypatch.setattr(served, "RETRY_SECONDS", (0.0,))
    async with serving(script) as wire:
        async with open_embedder("ollama/plain", config(wire)) as embedder:
            with pytest.raises(ProviderBusy):
                await embedder.embed_query("one")
    assert len(wire.bodies("/api/embed")) == 2


@pytest.mark.parametrize(
    ("embeddings", "words"),
    [
        ([], "0 vectors for 2"),
        ([[1.0, 2.0]], "1 vector for 2 texts"),
        ([[1.0, 2.0], [1.0]], "different lengths"),
        ([[], []], "different lengths"),
        ([[0.0, 0.0], [0.0, 1.0]], "vector of zeros"),
        ([[float("nan"), 1.0], [0.0, 1.0]], "not finite"),
        ([[1e300, 1.0], [0.0, 1.0]], "not finite"),
        (None, "unexpected response"),
        ([None, [1.0]], "unexpected response"),
        ([[None], [1.0]], "unexpected response"),
        ("nonsense", "unexpected response"),
    ],
)
async def test_an_invalid_response_is_an_error(embeddings: object, words: str) -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/embed":
            await exchange.answer({"embeddings": embeddings})
        else:
            await sound(exchange)

    async with serving(script) as wire:
        async with open_embedder("ollama/plain", config(wire)) as embedder:
            with pytest.raises(ProviderError, match=words):
                await embedder.embed_documents(["one", "two"])


async def test_a_model_replaced_by_one_of_other_dimensions_is_reported() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/embed":
            size = 3 if len(wire.bodies("/api/embed")) == 1 else 4
            await exchange.answer({"embeddings": [[1.0] * size]})
        else:
            await sound(exchange)

    async with serving(script) as wire:
        async with open_embedder("ollama/plain", config(wire)) as embedder:
            await embedder.embed_documents(["one"])
            with pytest.raises(ProviderError, match="4 dimensions instead of 3"):
                await embedder.embed_documents(["two"])


async def test_a_missing_model_is_reported_with_the_pull_command() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer({"error": 'model "m" not found, try pulling it first'}, 404)

    async with serving(script) as wire:
        async with open_embedder("ollama/m", config(wire)) as embedder:
            with pytest.raises(ModelNotFound) as failed:
                await embedder.embed_query("hello")
    assert failed.value.hint and "`allma models pull m`" in failed.value.hint


async def test_a_chat_model_is_refused_as_embedder(ollama: str) -> None:
    async with open_embedder("ollama/smollm2:135m", Config(ollama_url=ollama)) as embedder:
        with pytest.raises(ModelUnsuitable, match="smollm2:135m"):
            await embedder.embed_query("hello")


async def test_it_opens_without_the_server_and_fails_at_the_first_call(
    unused_url: str,
) -> None:
    async with open_embedder("ollama/nomic-embed-text", Config(ollama_url=unused_url)) as embedder:
        assert embedder.max_tokens == 2048
        with pytest.raises(ProviderUnreachable):
            await embedder.embed_query("hello")


async def test_auto_selects_ollama_if_it_has_the_model() -> None:
    async with serving(sound) as wire:
        assert await resolve_embedder(config(wire)) == "ollama/nomic-embed-text"


async def test_auto_selects_the_embedded_model_if_ollama_lacks_the_model(ollama: str) -> None:
    assert await resolve_embedder(Config(ollama_url=ollama)) == "local/all-MiniLM-L6-v2-int7"


async def test_auto_selects_the_embedded_model_without_ollama(unused_url: str) -> None:
    assert await resolve_embedder(Config(ollama_url=unused_url)) == "local/all-MiniLM-L6-v2-int7"


async def test_auto_does_not_wait_for_a_silent_ollama() -> None:
    async def script(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    async with serving(script) as wire, asyncio.timeout(5):
        assert await resolve_embedder(config(wire)) == "local/all-MiniLM-L6-v2-int7"


async def test_a_named_embedder_is_used_without_a_request(unused_url: str) -> None:
    named = Config(embedder="ollama/bge-m3", ollama_url=unused_url)
    assert await resolve_embedder(named) == "ollama/bge-m3"


async def test_a_query_does_not_wait_for_a_server_that_loads_its_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served, "QUERY_SECONDS", 0.05)
    loading, loaded = asyncio.Event(), asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/embed":
            if exchange.body["input"] == ["ok"]:
                loading.set()
            await loaded.wait()
        await sound(exchange)

    async with serving(script) as wire, open_embedder("ollama/bge-m3", config(wire)) as embedder:
        for _ in range(2):
            with pytest.raises(
                ProviderUnreachable, match="no vector within 0.05 seconds"
            ) as reported:
                await embedder.embed_query("which animal")
            assert reported.value.hint and "search again" in reported.value.hint
        await loading.wait()
        assert texts_sent(wire).count(["ok"]) == 1
        monkeypatch.setattr(served, "QUERY_SECONDS", 600.0)
        with pytest.raises(ProviderUnreachable):  # while it loads, no query waits long for it
            await embedder.embed_query("which animal")
        loaded.set()
        monkeypatch.setattr(served, "QUERY_SECONDS", 60.0)
        assert len(await embedder.embed_query("which animal")) == 3


@pytest.mark.parametrize("name", ["nomic-embed-text", "cohere/embed", "ollama/", "", "/"])
async def test_an_unknown_embedder_is_reported_with_the_known_providers(name: str) -> None:
    with pytest.raises(InvalidArgument) as failed:
        async with open_embedder(name, Config()):
            pass
    assert failed.value.hint and "local, onnx, ollama, openai, hashing" in failed.value.hint


@pytest.mark.invariant(5)
async def test_vectors_of_a_model_with_other_dimensions_are_never_compared(
    tmp_path: Path,
) -> None:
    (tmp_path / "docs").mkdir()
    document = tmp_path / "docs" / "sea.md"

    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/embed":
            vectors = [[float(len(text))] * length for text in exchange.body["input"]]
            await exchange.answer({"embeddings": vectors})
        else:
            await exchange.answer({"capabilities": ["embedding"]})

    async with serving(script) as wire:
        settings = Config(
            data_dir=tmp_path / "data", embedder="ollama/m", ollama_url=wire.url,
            chat_provider="scripted",
        )  # fmt: skip
        for length in (3, 4):
            document.write_text(f"The sea is salty, {length} times over.\n")
            async with open_engine(settings) as engine:
                run = {
                    name: partial(BY_NAME[name], Call(engine, LOCAL))
                    for name in ("ingest", "search")
                }
                with suppress(ProviderError):
                    await run["ingest"]({"paths": [str(tmp_path / "docs")]})
                found = await run["search"]({"query": "sea"})
                assert found.passages
    assert found.notice and "vectors of 4 dimensions; the index has 3" in found.notice


@pytest.mark.parametrize(
    ("vector", "said"),
    [([1e39, 0.0, 1.0], "numbers that are not finite"), ([0.0, 0.0, 0.0], "a vector of zeros")],
)
async def test_an_unusable_vector_is_called_what_it_is(vector: list[float], said: str) -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/embed":
            await exchange.answer({"embeddings": [vector for _ in exchange.body["input"]]})
        else:
            await sound(exchange)

    async with serving(script) as wire, open_embedder("ollama/bge-m3", config(wire)) as embedder:
        with pytest.raises(ProviderError, match=said):
            await embedder.embed_query("which animal")


async def test_large_numbers_in_a_vector_are_no_harm() -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.path == "/api/embed":
            await exchange.answer({"embeddings": [[3e30, 4e30, 0.0]]})
        else:
            await sound(exchange)

    async with serving(script) as wire, open_embedder("ollama/bge-m3", config(wire)) as embedder:
        assert np.allclose(await embedder.embed_query("which animal"), [0.6, 0.8, 0.0])
