"""Collections and objects of a cluster, as both the vector store and sharing write them.

Writes and reads take effect at most of the nodes (QUORUM), so that either goes on with one down.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from allma_server.ports import Vector
from allma_server.storage.cluster.failures import Refused

if TYPE_CHECKING:
    from weaviate import WeaviateAsyncClient
    from weaviate.collections import CollectionAsync
    from weaviate.collections.classes.config import Property

    Collection: TypeAlias = CollectionAsync[Any, Any]

REPLICAS = 3
"""Nodes that hold each object, where the cluster has so many."""

WRITE_STEP = 100
"""Objects in one message; they are packed on the event loop, in 10 ms."""

DELETE_STEP = 5_000
"""Less than the objects that a cluster deletes in one call, 10,000 by default."""

_FIRST_ID = 1 << 96
"""What keeps the id of chunk 0 from being the one that means none."""


def object_id(chunk_id: int) -> UUID:
    """Return the id of a chunk's object: written again, it is replaced."""
    return UUID(int=_FIRST_ID + chunk_id)


def chunk_id(object_id: UUID) -> int:
    """Return the chunk of an object."""
    return object_id.int - _FIRST_ID


async def create_collection(
    client: "WeaviateAsyncClient",
    name: str,
    properties: Sequence["Property"] = (),
    *,
    tenants: bool = False,
) -> None:
    """Create a collection unless there is one, with a part of it for each of `tenants`."""
    from weaviate.classes.config import (
        Configure,
        ReplicationDeletionStrategy,
        StopwordsPreset,
        VectorDistances,
    )

    if await client.collections.exists(name):
        return
    nodes = len(await client.cluster.nodes())
    tenancy = Configure.multi_tenancy(enabled=tenants, auto_tenant_activation=tenants)
    hnsw = Configure.VectorIndex.hnsw(distance_metric=VectorDistances.COSINE)
    # Ids of chunks hardly ever come back, so a deletion wins without looking at clocks.
    with warnings.catch_warnings():
        # Newer servers ignore `async_enabled`, because it is their default.
        warnings.simplefilter("ignore", DeprecationWarning)
        replication = Configure.replication(
            factor=min(REPLICAS, max(nodes, 1)),
            async_enabled=nodes > 1,
            deletion_strategy=ReplicationDeletionStrategy.DELETE_ON_CONFLICT,
        )
    await client.collections.create(
        name,
        properties=list(properties),
        vector_config=Configure.Vectors.self_provided(vector_index_config=hnsw),
        # Allma's own terms have no stop words.
        inverted_index_config=Configure.inverted_index(stopwords_preset=StopwordsPreset.NONE),
        multi_tenancy_config=tenancy,
        replication_config=replication,
    )


def collection(client: "WeaviateAsyncClient", name: str, tenant: str | None = None) -> "Collection":
    """Return a collection, or a tenant's part of it."""
    from weaviate.classes.config import ConsistencyLevel

    found: Collection = client.collections.use(name)
    if tenant is not None:
        found = found.with_tenant(tenant)
    return found.with_consistency_level(ConsistencyLevel.QUORUM)


@dataclass(frozen=True, slots=True)
class ChunkObject:
    """What a cluster holds of a chunk; `vector` is None where it has none."""

    chunk_id: int
    vector: Vector | None
    properties: Mapping[str, Any] = field(default_factory=dict[str, Any])


async def write_objects(target: "Collection", objects: Sequence[ChunkObject]) -> None:
    """Write or replace the objects of chunks.

    Raises:
        Refused: the cluster does not take one of them.
    """
    from weaviate.classes.data import DataObject

    for start in range(0, len(objects), WRITE_STEP):
        step = [
            DataObject(
                uuid=object_id(each.chunk_id),
                vector=None if each.vector is None else each.vector.tolist(),
                properties=dict(each.properties),
            )
            for each in objects[start : start + WRITE_STEP]
        ]
        written = await target.data.insert_many(step)
        if written.has_errors:
            raise Refused(next(iter(written.errors.values())).message)


async def delete_objects(target: "Collection", chunk_ids: Sequence[int]) -> None:
    """Delete the objects of chunks; those that are not there are no matter.

    Raises:
        Refused: the cluster does not delete one of them.
    """
    from weaviate.classes.query import Filter

    for start in range(0, len(chunk_ids), DELETE_STEP):
        ids = [object_id(each) for each in chunk_ids[start : start + DELETE_STEP]]
        deleted = await target.data.delete_many(where=Filter.by_id().contains_any(ids))
        if deleted.failed:
            raise Refused("not all objects were deleted")


async def count_objects(target: "Collection") -> int:
    """Return how many objects there are."""
    found = await target.aggregate.over_all(total_count=True)
    return found.total_count or 0
