"""The tenants of shared folders in the cluster: where one is, and how it is stored and deleted.

A folder has one tenant, but a second one in another collection while its embedder changes.
"""

from typing import TYPE_CHECKING

from allma_server.errors import ShareFailed
from allma_server.storage.shared.registry import create_registry, entry_of

if TYPE_CHECKING:
    from weaviate import WeaviateAsyncClient


async def collections_with(client: "WeaviateAsyncClient", tenant: str, owner: str) -> list[str]:
    """Return the collections that have a tenant; none where it is another engine's."""
    await create_registry(client)
    entry = await entry_of(client, tenant)
    if entry is not None and entry.owner != owner:
        return []
    uses = client.collections.use
    return [n for n in await _shared(client) if await uses(n).tenants.exists(tenant)]


async def write_to_disk(name: str, tenant: str, client: "WeaviateAsyncClient") -> None:
    """Have the cluster write a tenant from its memory to its disk, by closing and opening it.

    It does so by itself within a minute. Until then, Weaviate before 1.38 counts only the texts on
    the disk: rare words seem frequent, the best passages may be left out, and a search takes ten
    times as long.
    """
    tenants = client.collections.use(name).tenants
    await tenants.deactivate(tenant)
    await tenants.activate(tenant)


async def drop_tenants(
    tenant: str, client: "WeaviateAsyncClient", *, but: str | None = None
) -> None:
    """Delete a tenant in all collections of shares but one."""
    for name in await _shared(client):
        if name != but:
            await drop_tenant(client, name, tenant)


async def drop_tenant(client: "WeaviateAsyncClient", name: str, tenant: str) -> None:
    """Delete a tenant with all that it holds.

    Raises:
        ShareFailed: it is still there.
    """
    if await client.collections.exists(name):
        tenants = client.collections.use(name).tenants
        if await tenants.exists(tenant):
            await tenants.remove(tenant)
            if await tenants.exists(tenant):
                raise ShareFailed(f"The cluster has not erased {tenant}.")


async def _shared(client: "WeaviateAsyncClient") -> list[str]:
    """Return the collections of shares."""
    names = await client.collections.list_all(simple=True)
    return [name for name in names if name.startswith("AllmaShared")]
