"""Whose folder has which name in a cluster: one object for each shared folder."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid5

from allma_server.storage.cluster.objects import collection, create_collection

if TYPE_CHECKING:
    from weaviate import WeaviateAsyncClient

REGISTRY = "AllmaShares"
_NAMESPACE = UUID("8a1f4f0e-6a0e-4d57-9b56-0d9c6f0c8a11")

MAX_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A shared folder as all engines see it.

    `owner`: the id of the engine's data directory. `published`: the number of the last change that
    is published; another one than the owner's says that the cluster is of another time.
    """

    name: str
    owner: str
    collection: str
    embedder: str
    documents: int
    chunks: int
    published: int


async def create_registry(client: "WeaviateAsyncClient") -> None:
    """Create the collection of entries unless there is one."""
    from weaviate.classes.config import DataType, Property, Tokenization

    kinds = {"documents": DataType.INT, "chunks": DataType.INT, "published": DataType.INT}
    await create_collection(
        client,
        REGISTRY,
        [
            Property(name=name, data_type=kinds[name])
            if name in kinds
            else Property(name=name, data_type=DataType.TEXT, tokenization=Tokenization.FIELD)
            for name in Entry.__slots__
        ],
    )


async def entries(client: "WeaviateAsyncClient") -> list[Entry]:
    """Return all shared folders, by name; none before anything was shared."""
    if not await client.collections.exists(REGISTRY):
        return []
    found = await collection(client, REGISTRY).query.fetch_objects(limit=MAX_ENTRIES)
    listed = [_entry(each.properties) for each in found.objects]
    return sorted((each for each in listed if each is not None), key=lambda each: each.name)


async def entry_of(client: "WeaviateAsyncClient", name: str) -> Entry | None:
    """Return the entry with a name, if there is one."""
    # Its types do not say that there may be none.
    found: Any = await collection(client, REGISTRY).query.fetch_object_by_id(_id(name))
    return None if found is None else _entry(found.properties)


async def write_entry(client: "WeaviateAsyncClient", entry: Entry) -> None:
    """Write or replace an entry."""
    target = collection(client, REGISTRY)
    if await entry_of(client, entry.name) is None:
        await target.data.insert(asdict(entry), uuid=_id(entry.name))
    else:
        await target.data.replace(_id(entry.name), asdict(entry))


async def delete_entry(client: "WeaviateAsyncClient", name: str) -> None:
    """Delete an entry, if there is one."""
    if await client.collections.exists(REGISTRY):
        await collection(client, REGISTRY).data.delete_by_id(_id(name))


def _id(name: str) -> UUID:
    return uuid5(_NAMESPACE, name)


def _entry(properties: object) -> Entry | None:
    """Return an entry; None for what no version of Allma wrote."""
    found = cast(dict[str, Any], properties)
    try:
        return Entry(*(type_(found[name]) for name, type_ in _FIELDS.items()))
    except (KeyError, TypeError, ValueError):
        return None


_FIELDS: dict[str, type[Any]] = {
    "name": str,
    "owner": str,
    "collection": str,
    "embedder": str,
    "documents": int,
    "chunks": int,
    "published": int,
}
