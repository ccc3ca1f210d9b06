"""The contract of every embedder."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from allma_server.config import Config
from allma_server.errors import InvalidArgument, ModelNotFound
from allma_server.ports import Embedder, Vectors
from allma_server.providers.embedding import EMBEDDERS, open_embedder
from tests.unit.providers.embedding.model_folders import write_model

NAMES = {
    "local": "local/all-MiniLM-L6-v2-int7",
    "hashing": "hashing/words-256",
    "ollama": "ollama/all-minilm",
    "openai": "openai/all-minilm",
}
TEXTS = [
    "The billing service listens on port 7443.",
    "Tomatoes need sun, water and patience.",
    "Quarterly revenue grew by four percent.",
]


@pytest.fixture
def config(ollama: str) -> Config:
    return Config(ollama_url=ollama, openai_url=f"{ollama}/v1")


@pytest.fixture(params=EMBEDDERS)
def name(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "onnx":
        return f"onnx/{write_model(tmp_path / 'model', dimensions=256)}"
    return NAMES[request.param]


@pytest.fixture
async def embedder(name: str, config: Config) -> AsyncIterator[Embedder]:
    async with open_embedder(name, config) as opened:
        yield opened


def assert_sound(vectors: Vectors, embedder: Embedder, count: int) -> None:
    assert vectors.shape == (count, embedder.dimensions)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


async def test_each_vector_has_length_one(embedder: Embedder) -> None:
    assert_sound(await embedder.embed_documents(TEXTS), embedder, 3)


async def test_vectors_are_in_the_order_of_the_texts(embedder: Embedder) -> None:
    many = [f"{text} {n}" for n in range(8) for text in TEXTS]
    forwards = await embedder.embed_documents(many)
    backwards = await embedder.embed_documents(many[::-1])
    np.testing.assert_allclose(forwards, backwards[::-1], atol=1e-5)


async def test_a_vector_does_not_depend_on_the_other_texts_of_its_batch(embedder: Embedder) -> None:
    alone = await embedder.embed_documents(TEXTS[:1])
    among = await embedder.embed_documents([TEXTS[0], "word " * 2000, *TEXTS[1:]])
    np.testing.assert_allclose(alone[0], among[0], atol=1e-5)


async def test_no_texts_give_no_vectors(embedder: Embedder) -> None:
    assert len(await embedder.embed_documents([])) == 0


async def test_a_query_is_nearest_to_the_text_that_answers_it(embedder: Embedder) -> None:
    vectors = await embedder.embed_documents(TEXTS)
    for query, answer in (
        ("which port does the billing service use", 0),
        ("how much sun and water for tomatoes", 1),
        ("revenue growth in percent", 2),
    ):
        assert int(np.argmax(vectors @ await embedder.embed_query(query))) == answer


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param("", id="empty"),
        pytest.param(" \n\t ", id="blank"),
        pytest.param("\x00", id="zero byte"),
        pytest.param("half an emoji \ud83d here", id="lone surrogate"),
        pytest.param("日本語のテキスト", id="Japanese"),
        pytest.param("🙂🙃", id="emoji"),
        pytest.param("x" * 3000, id="one long word"),
        pytest.param("a fox jumped over the fence " * 200, id="longer than the model takes"),
    ],
)
async def test_an_unusual_text_gets_a_valid_vector(embedder: Embedder, odd: str) -> None:
    assert_sound(await embedder.embed_documents([TEXTS[0], odd]), embedder, 2)
    query = await embedder.embed_query(odd)
    assert query.shape == (embedder.dimensions,)


async def test_concurrent_calls_do_not_mix_their_vectors(embedder: Embedder) -> None:
    expected = await embedder.embed_documents(TEXTS)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(embedder.embed_documents([text])) for text in TEXTS * 4]
        query = group.create_task(embedder.embed_query("revenue"))
    for row, call in zip([*expected] * 4, calls, strict=True):
        np.testing.assert_allclose(call.result()[0], row, atol=1e-5)
    assert query.result().shape == (embedder.dimensions,)


async def test_the_identity_is_the_same_when_opened_again(
    embedder: Embedder, name: str, config: Config
) -> None:
    async with open_embedder(name, config) as again:
        assert again.identity == embedder.identity
        assert again.max_tokens == embedder.max_tokens > 0
        assert again.tokenizer_file == embedder.tokenizer_file


async def test_a_model_that_does_not_exist_is_named_in_the_error(name: str, config: Config) -> None:
    provider = name.split("/")[0]
    with pytest.raises((ModelNotFound, InvalidArgument), match="no-such-model"):
        async with open_embedder(f"{provider}/no-such-model", config) as opened:
            await opened.embed_query("hello")
