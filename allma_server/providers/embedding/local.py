"""The bundled embedding model: all-MiniLM-L6-v2 in int8, run by onnxruntime.

Texts are run one at a time, for two reasons. Without padding, the activations (1.7 MB at 190
tokens) fit a core's cache, which takes 60 % of the CPU time of batches of 8. And dynamic
quantisation scales by the whole batch, so a vector would depend on the other texts in its batch.
"""

import asyncio
import hashlib
import os
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import numpy as np

from allma_server.config import Config
from allma_server.errors import InvalidArgument, ProviderError
from allma_server.ports import Vector, Vectors
from allma_server.providers.onnx import OnnxModel

MODEL = "all-MiniLM-L6-v2-int8"
DIMENSIONS = 384
MAX_TOKENS = 256
NICENESS = 10

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
FOLDER = Path(__file__).parent / "minilm_int8"
SHA256 = {
    "model.onnx": "fbcb64b2e85fd74a05569d57a8b0777ad95f9ded69bc244c822158eb04f981ce",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


class LocalEmbedder:
    """Embeds documents in low-priority threads, and queries in a separate one so they never wait.

    The model is loaded with the first text, so a process that embeds nothing stays small.
    """

    identity = f"local/{MODEL}"
    dimensions = DIMENSIONS
    max_tokens = MAX_TOKENS
    tokenizer_file: Path | None = FOLDER / "tokenizer.json"

    def __init__(
        self, documents: ThreadPoolExecutor, queries: ThreadPoolExecutor, threads: tuple[int, int]
    ) -> None:
        """`threads`: how many embed documents in the background, and when a user waits."""
        self._documents = documents
        self._queries = queries
        self._threads = threads
        self._loading = asyncio.Lock()
        self._model: _Model | None = None

    async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """Return one row per text, in order; `urgent` uses all threads, because a user waits."""
        model = await self._load()
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        remaining = iter(enumerate(texts))

        async def work() -> None:
            for index, text in remaining:
                vectors[index] = await _in_thread(self._documents, model.embed, text)

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(self._threads[urgent], len(texts))):
                workers.create_task(work())
        return vectors

    async def embed_query(self, text: str) -> Vector:
        model = await self._load()
        return await _in_thread(self._queries, model.embed, text)

    async def _load(self) -> "_Model":
        async with self._loading:
            if self._model is None:
                self._model = await _in_thread(self._queries, _Model)
            return self._model


@asynccontextmanager
async def open_local(model: str, config: Config) -> AsyncGenerator[LocalEmbedder]:
    """Open the bundled model with `embed_threads` threads.

    If that is 0, half of the cores are used in the background, four at most, and all of them when a
    user waits.

    Raises:
        InvalidArgument: `model` is not the bundled one.
    """
    if model != MODEL:
        raise InvalidArgument(
            f"There is no bundled model {model!r}.", f"The bundled model is local/{MODEL}."
        )
    cores = os.cpu_count() or 1
    threads = (max(1, min(4, cores // 2)), cores)
    if config.embed_threads:
        threads = (config.embed_threads, config.embed_threads)
    documents = ThreadPoolExecutor(max(threads), "embed", initializer=_lower_priority)
    queries = ThreadPoolExecutor(1, "embed-query")
    try:
        yield LocalEmbedder(documents, queries, threads)
    finally:
        for executor in (documents, queries):
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)


async def _in_thread(executor: ThreadPoolExecutor, function: Callable[[*Ts], T], *args: *Ts) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, function, *args)


def _lower_priority() -> None:
    """Lower the priority of this thread, so that it never delays what a user waits for."""
    # Only Linux has priorities per thread.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class _Model:
    """The loaded model; safe to call from several threads."""

    def __init__(self) -> None:
        _verify()
        self._model = OnnxModel(
            FOLDER / "model.onnx",
            FOLDER / "tokenizer.json",
            MAX_TOKENS,
            hint="Choose another embedder, such as `allma config set embedder "
            "ollama/nomic-embed-text`.",
        )

    def embed(self, text: str) -> Vector:
        """Return the L2-normalised mean of the token vectors, as sentence-transformers does."""
        mean: Vector = self._model.run(text).mean(axis=0, dtype=np.float32)
        mean /= np.linalg.norm(mean)
        return mean


@cache
def _verify() -> None:
    """Raise ProviderError unless the model's files are the shipped ones."""
    for name, expected in SHA256.items():
        try:
            with (FOLDER / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as exc:
            raise ProviderError(
                f"The file {name} of the bundled model cannot be read: {exc}.",
                "Reinstall allma-server.",
            ) from exc
        if found != expected:
            raise ProviderError(
                f"The file {name} of the bundled model is damaged.", "Reinstall allma-server."
            )
