"""How the vector index is configured, and what a store is opened with."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from allma_server.config import Config

DEFAULT_STORE = "chroma"

ReadKey = Callable[[], Awaitable[str | None]]
"""Returns an API key, which is never part of the settings; None if there is none."""


@dataclass(frozen=True, slots=True)
class VectorOptions:
    """How the vector index is kept.

    Args:
        store: a name in `VECTOR_STORES`, or `exact`.
        payload: what the store keeps beside each vector: text and metadata, or only ids.
        url: address of the store's server; None where the store runs on this machine.
        api_key: returns the key of that server, if it has one.
        start_delay: seconds before the store is started, so that a process that answers one
            search and exits never starts it.
        retry_pauses: seconds before each retry after a failure; the last one repeats.
    """

    store: str = DEFAULT_STORE
    payload: Literal["full", "ids"] = "full"
    url: str | None = None
    api_key: ReadKey | None = None
    start_delay: float = 5.0
    retry_pauses: tuple[float, ...] = (0.0, 1.0, 5.0, 30.0, 120.0, 600.0)


def vector_options(config: Config, api_key: ReadKey | None = None) -> VectorOptions:
    """Return the options that the settings ask for.

    `chroma_url` and `chroma_payload` are older than the choice of a store; the first counts for
    its store only.
    """
    url = config.vector_store_url
    if url is None and config.vector_store == "chroma":
        url = config.chroma_url
    return VectorOptions(
        store=config.vector_store, payload=config.chroma_payload, url=url, api_key=api_key
    )


@dataclass(frozen=True, slots=True)
class VectorStoreConfig:
    """What a store is opened with: one collection, in a folder of its own or on a server.

    Args:
        tasks: owns calls to a worker process; it waits for them before the worker is stopped.
        directory: the collection's folder; a store need not use it.
        collection: a name unique to the data directory, embedder and options.
        with_payload: whether to store text and metadata beside each vector.
        url: address of the store's server.
        api_key: returns the key of that server, if it has one.
    """

    tasks: asyncio.TaskGroup
    directory: Path
    collection: str
    with_payload: bool = True
    url: str | None = None
    api_key: ReadKey | None = None
