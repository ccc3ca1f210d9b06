"""A cluster in the memory of the test, where a real one would take long or cannot fail on demand.

It does what publishing asks of Weaviate's client: tenants, objects and counts, but no search.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypeVar
from uuid import UUID

from allma_server._internal.imports import imported
from allma_server.errors import VectorStoreDown
from allma_server.storage.cluster.failures import raised

T = TypeVar("T")

Objects = dict[UUID, SimpleNamespace]


@dataclass
class MemoryCluster:
    """Stands for `Cluster`; `tenants`: by the names of collection and tenant.

    `refuses` is called with what is asked of a collection, and may raise or wait.
    """

    tenants: dict[str, dict[str | None, Objects]] = field(
        default_factory=dict[str, dict[str | None, Objects]]
    )
    refuses: Callable[[str], Awaitable[None]] | None = None
    undeletable: int = 0

    async def call(self, work: Callable[[Any], Awaitable[T]], *, limit: float) -> T:
        await imported("weaviate")
        try:
            async with asyncio.timeout(limit):
                return await work(_Client(self))
        except raised() as exc:
            raise VectorStoreDown(f"The cluster failed: {exc}") from exc

    def first_part(self, limit: float) -> float:
        return limit

    async def close(self) -> None:
        pass

    def held(self, share: str) -> dict[str, list[Mapping[str, Any]]]:
        """Return the chunks of a share in each collection that has a tenant of it, by their text;
        `vector` is added to the properties."""
        return {
            name: sorted(
                ({**o.properties, "vector": o.vector} for o in tenants[share].values()),
                key=lambda each: each["text"],
            )
            for name, tenants in self.tenants.items()
            if share in tenants
        }

    def texts(self, share: str) -> str:
        """Return all texts of a share, wherever they are."""
        return "\n".join(str(o["text"]) for chunks in self.held(share).values() for o in chunks)


class _Client:
    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster
        self.collections = self
        self.cluster = self

    async def nodes(self) -> list[str]:
        return ["node"]

    async def exists(self, name: str) -> bool:
        return name in self._cluster.tenants

    async def create(self, name: str, **_: object) -> None:
        self._cluster.tenants[name] = {} if name.startswith("AllmaShared") else {None: {}}

    async def list_all(self, *, simple: bool) -> list[str]:
        return list(self._cluster.tenants)

    def use(self, name: str) -> "_Collection":
        return _Collection(self._cluster, name)


class _Tenants:
    def __init__(self, cluster: MemoryCluster, name: str) -> None:
        self._tenants = cluster.tenants[name]

    async def exists(self, name: str) -> bool:
        return name in self._tenants

    async def create(self, name: str) -> None:
        self._tenants[name] = {}

    async def remove(self, name: str) -> None:
        del self._tenants[name]

    async def activate(self, name: str) -> None:
        pass

    async def deactivate(self, name: str) -> None:
        pass


class _Collection:
    """A collection or a tenant's part of it, with what the client has in namespaces of it."""

    def __init__(self, cluster: MemoryCluster, name: str, tenant: str | None = None) -> None:
        self._cluster = cluster
        self._name = name
        self._tenant = tenant
        self.data = self.query = self.aggregate = self

    @property
    def tenants(self) -> _Tenants:
        return _Tenants(self._cluster, self._name)

    def with_tenant(self, tenant: str) -> "_Collection":
        return _Collection(self._cluster, self._name, tenant)

    def with_consistency_level(self, level: object) -> "_Collection":
        return self

    async def _objects(self, asked: str) -> Objects:
        if self._cluster.refuses is not None:
            await self._cluster.refuses(asked)
        return self._cluster.tenants[self._name][self._tenant]

    async def fetch_object_by_id(self, uuid: UUID) -> SimpleNamespace | None:
        return (await self._objects("read")).get(uuid)

    async def fetch_objects(self, *, limit: int) -> SimpleNamespace:
        return SimpleNamespace(objects=list((await self._objects("read")).values()))

    async def insert(self, properties: Mapping[str, Any], uuid: UUID) -> None:
        found = SimpleNamespace(uuid=uuid, properties=properties, vector=None)
        (await self._objects("write"))[uuid] = found

    async def replace(self, uuid: UUID, properties: Mapping[str, Any]) -> None:
        await self.insert(properties, uuid)

    async def delete_by_id(self, uuid: UUID) -> None:
        (await self._objects("delete")).pop(uuid, None)

    async def insert_many(self, objects: list[Any]) -> SimpleNamespace:
        held = await self._objects("write")
        for each in objects:
            held[each.uuid] = SimpleNamespace(
                uuid=each.uuid, properties=each.properties, vector=each.vector
            )
        return SimpleNamespace(has_errors=False, errors={})

    async def delete_many(self, *, where: Any) -> SimpleNamespace:
        held = await self._objects("delete")
        matching = [UUID(str(each)) for each in where.value if UUID(str(each)) in held]
        failed = min(self._cluster.undeletable, len(matching))
        self._cluster.undeletable -= failed
        for each in matching[failed:]:
            del held[each]
        return SimpleNamespace(failed=failed, matches=len(matching))

    async def iterator(self, *, return_properties: list[str]) -> AsyncIterator[SimpleNamespace]:
        for each in list((await self._objects("compare")).values()):
            yield each

    async def over_all(self, *, total_count: bool) -> SimpleNamespace:
        return SimpleNamespace(total_count=len(await self._objects("count")))
