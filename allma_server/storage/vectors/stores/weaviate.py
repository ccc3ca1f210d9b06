"""Weaviate as a vector store: a collection of vectors on a server or a cluster.

It holds ids and vectors only: SQLite has the texts, and what is private need not leave the machine.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from allma_server.ports import Vector, VectorRecord
from allma_server.storage.cluster.connection import Cluster
from allma_server.storage.cluster.objects import (
    ChunkObject,
    chunk_id,
    collection,
    count_objects,
    create_collection,
    delete_objects,
    write_objects,
)
from allma_server.storage.vectors.config import VectorStoreConfig
from allma_server.types import Hit, VectorStoreHealth

if TYPE_CHECKING:
    from weaviate import WeaviateAsyncClient

OPEN_SECONDS = 30.0
WRITE_SECONDS = 60.0
QUERY_SECONDS = 5.0

T = TypeVar("T")


class WeaviateStore:
    """A collection of Weaviate; implements `ports.VectorStore`."""

    damage: str | None = None
    # Asking for more hits is as fast as a filter by thousands of ranges.
    filters_documents = False

    def __init__(self, config: VectorStoreConfig) -> None:
        # Weaviate's names are words that begin with a capital.
        self._name = config.collection.replace("-", "_").capitalize()
        self._cluster = Cluster(config.url, config.api_key)
        self._created = False

    async def open(self) -> None:
        await self._cluster.call(self._create, limit=OPEN_SECONDS)

    async def upsert(self, records: Sequence[VectorRecord]) -> None:
        objects = [ChunkObject(record.chunk_id, record.vector) for record in records]

        async def write(client: "WeaviateAsyncClient") -> None:
            await write_objects(collection(client, self._name), objects)

        if objects:
            await self._call(write, WRITE_SECONDS)

    async def delete(self, chunk_ids: Sequence[int]) -> None:
        async def delete(client: "WeaviateAsyncClient") -> None:
            await delete_objects(collection(client, self._name), chunk_ids)

        if chunk_ids:
            await self._call(delete, WRITE_SECONDS)

    async def query(
        self, vector: Vector, k: int, documents: Sequence[range] | None = None
    ) -> list[Hit]:
        assert documents is None, "filters_documents is False"

        async def query(client: "WeaviateAsyncClient") -> list[Hit]:
            from weaviate.classes.query import MetadataQuery

            found = await collection(client, self._name).query.near_vector(
                vector.tolist(), limit=k, return_metadata=MetadataQuery(distance=True)
            )
            return [Hit(chunk_id(o.uuid), 1.0 - (o.metadata.distance or 0)) for o in found.objects]

        return await self._call(query, QUERY_SECONDS) if k > 0 else []

    async def health(self) -> VectorStoreHealth:
        async def count(client: "WeaviateAsyncClient") -> int:
            return await count_objects(collection(client, self._name))

        rows = await self._call(count, WRITE_SECONDS)
        return VectorStoreHealth(rows, rows, rows)

    async def reset(self) -> None:
        self._created = False

        async def drop(client: "WeaviateAsyncClient") -> None:
            await client.collections.delete(self._name)

        await self._cluster.call(drop, limit=WRITE_SECONDS)

    async def exists(self) -> bool:
        return True

    async def erase_deleted(self) -> None:
        """Do nothing: deletion is all that can be asked of a server."""

    async def remove_others(self) -> None:
        family = self._name.rpartition("_")[0] + "_"

        async def drop(client: "WeaviateAsyncClient") -> None:
            for name in await client.collections.list_all(simple=True):
                if name.startswith(family) and name != self._name:
                    await client.collections.delete(name)

        await self._cluster.call(drop, limit=WRITE_SECONDS)

    async def close(self) -> None:
        await self._cluster.close()

    async def _create(self, client: "WeaviateAsyncClient") -> None:
        await create_collection(client, self._name)
        self._created = True

    async def _call(self, work: Callable[["WeaviateAsyncClient"], Awaitable[T]], limit: float) -> T:
        if not self._created:
            await self.open()
        return await self._cluster.call(work, limit=limit)
