"""Generated documents with different texts and random vectors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from allma_server._internal.tasks import background_tasks
from allma_server.ports import Vector
from allma_server.storage.full_text.index import open_full_text
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.types import Chunk, Document, DocumentSet, FileFacts, Hit, Parsed, Workspace

EMBEDDER = "random/64"
DIMENSIONS = 64
RNG = np.random.default_rng(11)


def random_vector() -> Vector:
    vector = RNG.standard_normal(DIMENSIONS).astype(np.float32)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def storable_vector() -> Vector:
    """A unit vector that half precision holds exactly, so that all stores give equal scores."""
    return RNG.choice(np.array([-0.125, 0.125], np.float32), DIMENSIONS)


def facts(path: str, mtime_ns: int = 1) -> FileFacts:
    return FileFacts(path, size=100, mtime_ns=mtime_ns, inode=7)


def parsed(texts: Sequence[str], format: str = "text", **of_chunks: Any) -> Parsed:
    chunks: list[Chunk] = []
    start = 0
    for index, text in enumerate(texts):
        chunks.append(
            Chunk(index, text, start, start + len(text), index + 1, index + 1, **of_chunks)
        )
        start += len(text) + 1
    return Parsed(format, "Title", {"author": "Ann"}, tuple(chunks))


def vectors_for(document: Parsed) -> Mapping[bytes, Vector]:
    return {chunk.text_hash: storable_vector() for chunk in document.chunks}


async def publish(
    catalog: Catalog,
    path: str,
    texts: Sequence[str],
    *,
    workspace: Workspace | None = None,
    embedder: str = EMBEDDER,
    vectors: Mapping[bytes, Vector] | None = None,
    format: str = "text",
) -> Document:
    """Publishes a document whose chunks have these texts."""
    workspace = workspace or await catalog.add_workspace("/w")
    content = parsed(texts, format)
    if vectors is None:
        vectors = vectors_for(content)
    return await catalog.publish(workspace, facts(path), "hash", content, embedder, vectors)


async def chunk_ids(catalog: Catalog, document: Document) -> list[int]:
    found = await catalog._db.rows(
        "SELECT id FROM chunks WHERE document_id = ? ORDER BY chunk_index", (document.id,)
    )
    return [row["id"] for row in found]


async def search_text(
    catalog: Catalog, query: str, k: int, documents: DocumentSet | None = None
) -> list[Hit]:
    """Searches words in the index beside the catalogue's database."""
    folder = catalog._db.path.parent / "full_text"
    async with background_tasks() as tasks, open_full_text(catalog._db, folder, tasks) as words:
        found = await words.search_text(query, k, documents)
    assert found.notice is None
    return found.hits
