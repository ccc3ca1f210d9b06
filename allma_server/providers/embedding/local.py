"""The embedded model: all-MiniLM-L6-v2 in int8, shipped with the package, run by onnxruntime.

Texts are run one at a time. Nothing is padded then, the activations (1.7 MB at 190 tokens) stay in
a core's cache, which takes 60 % of the CPU time of batches of 8, and, as dynamic quantisation
scales by the whole batch, a vector would otherwise depend on the texts beside it.
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
from allma_server.providers.onnx import Network

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
    """Embeds documents in threads of low priority, and queries in one that need not wait for them.

    The model is loaded at the first text: a process that embeds nothing stays small.
    """

    identity = f"local/{MODEL}"
    dimensions = DIMENSIONS
    max_tokens = MAX_TOKENS
    tokenizer_file: Path | None = FOLDER / "tokenizer.json"

    def __init__(
        self, documents: ThreadPoolExecutor, queries: ThreadPoolExecutor, threads: tuple[int, int]
    ) -> None:
        """`threads`: how many embed documents in the background, and when somebody waits."""
        self._documents = documents
        self._queries = queries
        self._threads = threads
        self._loading = asyncio.Lock()
        self._model: _Model | None = None

    async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """One row per text, in their order; `urgent`: somebody waits, so all threads work."""
        model = await self._loaded()
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        rest = iter(enumerate(texts))

        async def lane() -> None:
            for index, text in rest:
                vectors[index] = await _in_thread(self._documents, model.embed, text)

        async with asyncio.TaskGroup() as lanes:
            for _ in range(min(self._threads[urgent], len(texts))):
                lanes.create_task(lane())
        return vectors

    async def embed_query(self, text: str) -> Vector:
        model = await self._loaded()
        return await _in_thread(self._queries, model.embed, text)

    async def _loaded(self) -> "_Model":
        async with self._loading:
            if self._model is None:
                self._model = await _in_thread(self._queries, _Model)
            return self._model


@asynccontextmanager
async def open_local(model: str, config: Config) -> AsyncGenerator[LocalEmbedder]:
    """The embedded model, with `embed_threads` threads.

    If that is 0, half of the cores work in the background, four at most, and all of them for a run
    that somebody waits for.
    """
    if model != MODEL:
        raise InvalidArgument(
            f"There is no embedded model {model!r}.", f"The embedded model is local/{MODEL}."
        )
    cores = os.cpu_count() or 1
    threads = (max(1, min(4, cores // 2)), cores)
    if config.embed_threads:
        threads = (config.embed_threads, config.embed_threads)
    documents = ThreadPoolExecutor(max(threads), "embed", initializer=_give_way)
    queries = ThreadPoolExecutor(1, "embed-query")
    try:
        yield LocalEmbedder(documents, queries, threads)
    finally:
        for executor in (documents, queries):
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)


async def _in_thread(executor: ThreadPoolExecutor, function: Callable[[*Ts], T], *args: *Ts) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, function, *args)


def _give_way() -> None:
    """Lowers the priority of this thread below all that somebody waits for."""
    # Only Linux has a priority for each thread.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class _Model:
    """The loaded network; may be called from several threads at once."""

    def __init__(self) -> None:
        _verify()
        self._network = Network(
            FOLDER / "model.onnx",
            FOLDER / "tokenizer.json",
            MAX_TOKENS,
            instead="Choose another embedder, such as `allma config set embedder "
            "ollama/nomic-embed-text`.",
        )

    def embed(self, text: str) -> Vector:
        """Mean over the tokens' states, L2-normalised, as sentence-transformers pools them."""
        mean: Vector = self._network.run(text).mean(axis=0, dtype=np.float32)
        mean /= np.linalg.norm(mean)
        return mean


@cache
def _verify() -> None:
    """Raises ProviderError unless the model's files are the ones that were shipped."""
    for name, expected in SHA256.items():
        try:
            with (FOLDER / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as exc:
            raise ProviderError(
                f"The embedded model's file {name} cannot be read: {exc}.",
                "Install allma-server again.",
            ) from exc
        if found != expected:
            raise ProviderError(
                f"The embedded model's file {name} is damaged.", "Install allma-server again."
            )
