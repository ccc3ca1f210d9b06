"""What a cluster holds of a shared chunk, and the passage that others make of it."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from allma_server._internal.tokens import index_terms
from allma_server.storage.cluster.objects import ChunkObject
from allma_server.storage.path_terms import path_terms
from allma_server.storage.sqlite.shares import SharedChunk
from allma_server.types import SHARED, Chunk, Passage, SharedPassage, WordUse

if TYPE_CHECKING:
    from weaviate.classes.config import Property

SCHEMA = 1
"""Increased when the properties change: engines then publish again, under another name."""

TERMS, PLACE, DOCUMENT, PATH = "terms", "place", "document", "path"
INDEX, VERSION = "chunk_index", "version"
_NUMBERS = (INDEX, "start_offset", "end_offset", "start_line", "end_line", "page")


def collection_name(embedder: str | None) -> str:
    """Return the collection of all folders with vectors of this embedder: none is ever mixed."""
    return f"AllmaShared{SCHEMA}_{blake2b((embedder or '').encode(), digest_size=8).hexdigest()}"


def is_current(collection: str) -> bool:
    """Return whether a collection is of this version's form."""
    return collection.startswith(f"AllmaShared{SCHEMA}_")


def properties() -> list["Property"]:
    """Return the properties of a shared chunk; only terms, places and documents are searched."""
    from weaviate.classes.config import DataType, Property, Tokenization

    def stored(name: str, kind: DataType, *, filtered: bool = False) -> Property:
        if kind is DataType.INT:
            return Property(name=name, data_type=kind, index_filterable=filtered)
        return Property(
            name=name,
            data_type=kind,
            tokenization=Tokenization.FIELD,
            index_searchable=False,
            index_filterable=filtered,
        )

    terms = Property(
        name=TERMS,
        data_type=DataType.TEXT,
        tokenization=Tokenization.WHITESPACE,
        index_searchable=True,
        # To count the texts that have a term.
        index_filterable=True,
    )
    return [
        terms,
        stored(PLACE, DataType.TEXT_ARRAY, filtered=True),
        stored(DOCUMENT, DataType.INT, filtered=True),
        stored(PATH, DataType.TEXT, filtered=True),
        stored("heading", DataType.TEXT_ARRAY),
        *(stored(name, DataType.TEXT) for name in ("text", VERSION)),
        *(stored(name, DataType.INT) for name in _NUMBERS),
    ]


def object_of(chunk: SharedChunk, share: str) -> ChunkObject:
    """Return what is published of a chunk: its text, place, vector and search terms."""
    name = " ".join([share, *chunk.path.split("/")][-3:])
    title = [*index_terms(name), *index_terms(chunk.context)]
    found = {
        TERMS: " ".join([*title, *title, *index_terms(chunk.text)]),
        PLACE: sorted(path_terms(f"/{chunk.path}", chunk.format)),
        DOCUMENT: chunk.document_id,
        PATH: chunk.path,
        "text": chunk.text,
        "heading": chunk.heading,
        VERSION: chunk.version,
        INDEX: chunk.chunk_index,
        "start_offset": chunk.start_offset,
        "end_offset": chunk.end_offset,
        "start_line": chunk.start_line,
        "end_line": chunk.end_line,
        "page": chunk.page,
    }
    stated = {name: value for name, value in found.items() if value is not None}
    return ChunkObject(chunk.chunk_id, chunk.vector, stated)


def passage_of(
    share: str,
    chunk: int,
    found: Mapping[str, Any],
    score: float,
    vector: object = None,
    words: WordUse | None = None,
) -> SharedPassage:
    """Return a published chunk as a passage."""
    start, end = found["start_line"], found["end_line"]
    passage = Passage(
        path=f"{SHARED}{share}/{found[PATH]}",
        workspace=f"{SHARED}{share}",
        document_id=_foreign_id(f"{share}\0{found[DOCUMENT]}"),
        chunk_id=_foreign_id(f"{share}\0chunk {chunk}"),
        chunk_index=found[INDEX],
        text=found["text"],
        score=score,
        start_line=start,
        end_line=end,
        page=found.get("page"),
        heading=list(found.get("heading") or ()),
        uri=f"allma://shared/{quote(share)}/{quote(found[PATH])}#L{start}-L{end}",
        shared=share,
    )
    return SharedPassage(
        passage,
        found["start_offset"],
        found["end_offset"],
        np.array(vector, np.float32) if vector else None,
        words,
    )


def chunk_of(found: Mapping[str, Any]) -> Chunk:
    """Return a published chunk as one of a document."""
    return Chunk(
        index=found[INDEX],
        text=found["text"],
        start=found["start_offset"],
        end=found["end_offset"],
        start_line=found["start_line"],
        end_line=found["end_line"],
    )


def _foreign_id(of: str) -> int:
    """Return an id below zero: unlike those of this engine, and the same at each search."""
    return -1 - int.from_bytes(blake2b(of.encode(), digest_size=6).digest())
