import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from allma_server.errors import ModelNotFound, ModelUnsuitable, ProviderError
from allma_server.ports import Reranker
from allma_server.providers.reranking.cross_encoder import open_cross_encoder
from allma_server.providers.reranking.listwise import Complete
from allma_server.types import Passage
from tests.unit.providers.reranking.networks import cross_encoder

TEXTS = ["The port is open.", "The billing port is 7443.", "Nothing."]
QUESTION = "billing port"


def passages(*texts: str) -> list[Passage]:
    return [
        Passage("/w/a.txt", "/w", 1, i, i, text, 1.0, 1, 1, None, [], "file:///w/a.txt")
        for i, text in enumerate(texts)
    ]


@asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[Reranker]:
    complete: Complete = None  # type: ignore[assignment]  # it asks no chat model
    async with open_cross_encoder(str(path), complete) as reranker:
        yield reranker


async def scores(path: Path) -> list[float]:
    async with opened(path) as reranker:
        return await reranker.rerank(QUESTION, passages(*TEXTS))


@pytest.mark.parametrize("classes", [1, 2])
async def test_question_and_passage_are_scored_together(tmp_path: Path, classes: int):
    folder = cross_encoder(tmp_path, QUESTION, *TEXTS, classes=classes)
    assert await scores(folder) == [1.0, 2.0, 0.0]


async def test_a_model_can_be_named_by_file_or_folder(tmp_path: Path):
    published = tmp_path / "published"
    folder = cross_encoder(tmp_path / "plain", QUESTION, *TEXTS)
    (published / "onnx").mkdir(parents=True)
    shutil.copy(folder / "model.onnx", published / "onnx")
    shutil.copy(folder / "tokenizer.json", published)
    expected = await scores(folder)
    assert await scores(folder / "model.onnx") == expected
    assert await scores(published) == expected
    assert await scores(published / "onnx" / "model.onnx") == expected


async def test_a_long_passage_is_truncated_to_the_network_s_limit(tmp_path: Path):
    folder = cross_encoder(tmp_path, QUESTION, *TEXTS)
    async with opened(folder) as reranker:
        long = passages("nothing " * 20_000 + "billing port", "billing " + "nothing " * 20_000)
        assert await reranker.rerank(QUESTION, long) == [0.0, 1.0]


@pytest.mark.parametrize("missing", ["model.onnx", "tokenizer.json"])
async def test_a_missing_file_is_named(tmp_path: Path, missing: str):
    folder = cross_encoder(tmp_path, QUESTION, *TEXTS)
    (folder / missing).unlink()
    with pytest.raises(ModelNotFound, match=missing):
        await scores(folder)


async def test_a_damaged_model_is_reported(tmp_path: Path):
    folder = cross_encoder(tmp_path, QUESTION, *TEXTS)
    (folder / "model.onnx").write_bytes(b"no network")
    with pytest.raises(ProviderError, match="cannot be loaded"):
        await scores(folder)


async def test_an_embedding_model_is_refused_as_cross_encoder(tmp_path: Path):
    with pytest.raises(ModelUnsuitable, match="not a cross-encoder"):
        await scores(cross_encoder(tmp_path, QUESTION, *TEXTS, tokens=True))
