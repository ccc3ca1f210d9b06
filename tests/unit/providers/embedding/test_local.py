import asyncio
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from allma_server.config import Config
from allma_server.errors import ProviderError
from allma_server.providers.embedding import local, open_embedder

NAME = f"local/{local.MODEL}"


async def test_a_query_is_embedded_before_waiting_documents() -> None:
    async with open_embedder(NAME, Config(embed_threads=1)) as embedder:
        await embedder.embed_query("load the model")
        async with asyncio.TaskGroup() as group:
            documents = group.create_task(embedder.embed_documents(["some words " * 20] * 200))
            others = group.create_task(embedder.embed_documents(["more words " * 20] * 200))
            await embedder.embed_query("which port")
            assert not documents.done() and not others.done()
            documents.cancel()
            others.cancel()


async def test_a_short_text_does_not_wait_for_many_that_came_before() -> None:
    async with open_embedder(NAME, Config(embed_threads=1)) as embedder:
        async with asyncio.TaskGroup() as group:
            documents = group.create_task(embedder.embed_documents(["some words " * 20] * 200))
            await embedder.embed_documents(["a saved file"], urgent=True)
            assert not documents.done()
            documents.cancel()


async def test_what_nobody_waits_for_any_more_is_not_embedded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began, cancelled, embedded = threading.Event(), threading.Event(), list[str]()

    def embed(_: local.BundledModel, text: str) -> np.ndarray:
        embedded.append(text)
        began.set()
        cancelled.wait(60)
        return np.zeros(384, np.float32)

    async with open_embedder(NAME, Config(embed_threads=1)) as embedder:
        monkeypatch.setattr(local.BundledModel, "embed", embed)
        async with asyncio.TaskGroup() as group:
            documents = group.create_task(embedder.embed_documents(["some", "more", "words"]))
            await asyncio.to_thread(began.wait, 60)
            documents.cancel()
        cancelled.set()
        await embedder.embed_documents(["others"])
    assert embedded == ["some", "others"]


async def test_threads_change_the_speed_and_not_the_vectors() -> None:
    texts = [f"text number {n} " * (n % 7 + 1) for n in range(20)]
    rows: list[np.ndarray] = []
    for threads in (1, 3):
        async with open_embedder(NAME, Config(embed_threads=threads)) as embedder:
            rows.append(await embedder.embed_documents(texts))
    np.testing.assert_array_equal(rows[0], rows[1])


@pytest.mark.parametrize(("urgent", "threads"), [(False, 2), (True, 4)])
async def test_a_run_with_a_waiting_client_uses_all_cores(
    urgent: bool, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    meeting, lock, at_work, most = threading.Barrier(threads), threading.Lock(), 0, 0
    embed = local.BundledModel.embed

    def counted(model: local.BundledModel, text: str) -> np.ndarray:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        meeting.wait(60)  # none continues before all have arrived
        vector = embed(model, text)
        with lock:
            at_work -= 1
        return vector

    async with open_embedder(NAME, Config()) as embedder:
        await embedder.embed_query("load the model")
        monkeypatch.setattr(local.BundledModel, "embed", counted)
        texts = [f"text {n}" for n in range(3 * threads)]
        assert len(await embedder.embed_documents(texts, urgent=urgent)) == 3 * threads
    assert most == threads


async def test_similarities_match_those_of_the_original_model() -> None:
    """Cosines of the 32-bit original, published with sentence-transformers' examples."""
    texts = [
        "The weather is lovely today.",
        "It's so sunny outside!",
        "He drove to the stadium.",
    ]
    async with open_embedder(NAME, Config()) as embedder:
        vectors = await embedder.embed_documents(texts)
    cosines = vectors @ vectors.T
    expected = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose(cosines, expected, atol=0.05)


async def test_a_damaged_model_is_reported_and_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    local._verify.cache_clear()  # pyright: ignore[reportPrivateUsage]
    async with open_embedder(NAME, Config()) as embedder:
        with monkeypatch.context() as damaged:
            damaged.setitem(local.SHA256, "model.onnx", "0" * 64)
            with pytest.raises(ProviderError, match=r"model\.onnx of the bundled model is damaged"):
                await embedder.embed_query("hello")
        assert len(await embedder.embed_query("hello")) == local.DIMENSIONS


def test_nothing_heavy_is_imported_or_loaded_before_the_first_text() -> None:
    script = """
import asyncio, sys
from allma_server.config import Config
from allma_server.providers.embedding import open_embedder
async def main():
    async with open_embedder("local/all-MiniLM-L6-v2-int7", Config()) as embedder:
        assert embedder.dimensions == 384
asyncio.run(main())
print(sorted({"onnxruntime", "tokenizers"} & set(sys.modules)))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stderr


async def test_recent_queries_are_remembered() -> None:
    async with open_embedder(NAME, Config()) as embedder:
        first = await embedder.embed_query("which port")
        assert await embedder.embed_query("which port") is first
        with pytest.raises(ValueError, match="read-only"):
            first[0] = 1.0
