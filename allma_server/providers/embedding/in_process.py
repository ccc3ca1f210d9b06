"""Run an embedding model in this process, in threads.

Texts are run one at a time, for two reasons. Without padding, the activations (1.7 MB at 190 tokens
of a small model) fit a core's cache, which takes 60 % of the CPU time of batches of 8. And dynamic
quantisation scales by the whole batch, so a vector would depend on the other texts in its batch.
"""

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, TypeVarTuple

import numpy as np

from allma_server.config import Config
from allma_server.ports import Vector, Vectors

NICENESS = 10

TEXTS_PER_TURN = 8
"""Texts that a thread embeds before others get it: a way to the event loop and back costs up to a
millisecond on a busy machine, and more urgent texts wait for a turn."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class EmbeddingModel(Protocol):
    """A loaded model; `embed` returns an L2-normalised vector and is called from several threads.

    Raises:
        InputRefused: the model gives no vector for this text.
    """

    def embed(self, text: str) -> Vector: ...


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model before it is loaded, in the terms of `ports.Embedder`.

    `document` and `query` are the prefixes of texts.
    """

    identity: str
    dimensions: int
    max_tokens: int
    tokenizer_file: Path
    document: str = ""
    query: str = ""


class InProcessEmbedder:
    """Embeds documents in low-priority threads, and queries in a separate one so they never wait.

    The model is loaded with the first text, so a process that embeds nothing stays small.
    """

    def __init__(
        self,
        facts: ModelFacts,
        load: Callable[[], EmbeddingModel],
        executors: tuple[ThreadPoolExecutor, ThreadPoolExecutor],
        threads: tuple[int, int],
    ) -> None:
        """Make an embedder.

        Args:
            facts: the model's.
            load: loads the model; called in a thread, and again after it failed.
            executors: for documents and for queries.
            threads: how many embed documents in the background, and when a user waits.
        """
        self.identity = facts.identity
        self.dimensions = facts.dimensions
        self.max_tokens = facts.max_tokens
        self.tokenizer_file: Path | None = facts.tokenizer_file
        self._facts = facts
        self._load_model = load
        self._documents, self._queries = executors
        self._threads = threads
        self._loading = asyncio.Lock()
        self._model: EmbeddingModel | None = None

    async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """Return one row per text, in order; `urgent` uses all threads, because a user waits."""
        model = await self._load()
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        remaining = deque(range(len(texts)))

        def embed_some() -> None:
            for _ in range(TEXTS_PER_TURN):
                try:
                    index = remaining.popleft()
                except IndexError:
                    return  # another thread took the last one
                vectors[index] = model.embed(self._facts.document + texts[index])

        async def work() -> None:
            while remaining:
                await _in_thread(self._documents, embed_some)

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(self._threads[urgent], len(texts))):
                    workers.create_task(work())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            remaining.clear()  # threads go on after a failure or a cancellation
        return vectors

    async def embed_query(self, text: str) -> Vector:
        model = await self._load()
        return await _in_thread(self._queries, model.embed, self._facts.query + text)

    async def _load(self) -> EmbeddingModel:
        async with self._loading:
            if self._model is None:
                self._model = await _in_thread(self._queries, self._load_model)
            return self._model


@asynccontextmanager
async def open_in_process(
    facts: ModelFacts, load: Callable[[], EmbeddingModel], config: Config
) -> AsyncGenerator[InProcessEmbedder]:
    """Open a model with `embed_threads` threads.

    If that is 0, half of the cores are used in the background, four at most, and all of them when a
    user waits.
    """
    cores = os.cpu_count() or 1
    threads = (max(1, min(4, cores // 2)), cores)
    if config.embed_threads:
        threads = (config.embed_threads, config.embed_threads)
    documents = ThreadPoolExecutor(max(threads), "embed", initializer=_lower_priority)
    queries = ThreadPoolExecutor(1, "embed-query")
    try:
        yield InProcessEmbedder(facts, load, (documents, queries), threads)
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
