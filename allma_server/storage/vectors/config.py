"""Where a vector store keeps its collection, and what the policy over it asks besides search."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from allma_server.ports import VectorStore


@dataclass(frozen=True, slots=True)
class VectorStoreConfig:
    """A collection's own directory, or its name on a server.

    `tasks` owns the calls to a worker process; they end before it does.
    """

    tasks: asyncio.TaskGroup
    directory: Path
    collection: str
    with_payload: bool = True
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a store says of itself: its rows, and the `live` of the slots it `used` so far."""

    rows: int
    used: int
    live: int


class RebuildableStore(VectorStore, Protocol):
    """A vector store that can be emptied and filled anew.

    `damage` says what is broken when only a rebuild can help; None while nothing is.
    """

    @property
    def damage(self) -> str | None: ...
    async def inspect(self) -> Inspection: ...
    async def reset(self) -> None: ...
    async def exists(self) -> bool: ...
    async def erase_deleted(self) -> None: ...
    async def remove_others(self) -> None: ...
    async def close(self) -> None: ...
