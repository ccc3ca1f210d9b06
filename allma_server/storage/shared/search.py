"""Search in the folders that other engines share, and read their documents."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Collection as Names
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from allma_server._internal.tokens import query_terms
from allma_server.errors import DocumentNotFound, ShareFailed, VectorStoreDown
from allma_server.ports import Vector
from allma_server.storage.cluster.connection import Cluster
from allma_server.storage.cluster.objects import chunk_id, collection
from allma_server.storage.full_text.entries import use_of
from allma_server.storage.path_terms import glob_filter
from allma_server.storage.shared.chunks import (
    INDEX,
    PATH,
    PLACE,
    TERMS,
    chunk_of,
    collection_name,
    is_current,
    passage_of,
)
from allma_server.storage.shared.registry import Entry, entries
from allma_server.storage.sqlite.globs import PathGlobs
from allma_server.storage.sqlite.passages import joined, lines_of
from allma_server.types import (
    Chunk,
    SharedHits,
    SharedPassage,
    SharedScope,
    TermFilter,
    WordStatistics,
    WordUse,
)

if TYPE_CHECKING:
    from weaviate import WeaviateAsyncClient
    from weaviate.collections.classes.filters import FilterReturn as Condition

    from allma_server.storage.cluster.objects import Collection

SEARCH_SECONDS, READ_SECONDS = 3.0, 15.0
"""Time limits; a search shows what is here when the cluster takes longer."""

REST_SECONDS = 15.0
"""After a failure, searches leave the cluster alone for so long: each would wait for it."""

KNOWN_SECONDS = 2.0
"""How long the list of shared folders is used again."""

AT_ONCE = 8
"""Folders searched at the same time."""

MAX_ALONE, ALONE = 4, 30
"""Terms that are searched alone too, and how many hits of each."""

MAX_FREQUENCIES = 100_000
"""Numbers of texts with a term that are kept."""

MAX_CHUNKS = 5_000
"""Chunks of a document that are read."""

Search = Callable[["WeaviateAsyncClient", Entry], Awaitable[list[SharedPassage]]]


class SharedSearch:
    """Finds passages in the shared folders of others; implements `ports.SharedIndex`.

    `owner` returns the id of this engine, whose own folders are searched here. `names`: the shares
    that the principal may see; None for all.
    """

    def __init__(
        self,
        cluster: Cluster,
        owner: Callable[[], Awaitable[str]],
        names: Names[str] | None = None,
    ) -> None:
        self._cluster = cluster
        self._owner = owner
        self._names = names
        self._known = _Known()

    def seen_by(self, names: Names[str] | None) -> "SharedSearch":
        """Return the same without the shares that are not named."""
        seen = SharedSearch(self._cluster, self._owner, names)
        seen._known = self._known
        return seen

    async def folders(self) -> list[Entry]:
        """Return the folders that others share, of those that the principal may see.

        Raises:
            VectorStoreDown: the cluster does not answer.
        """
        known = self._known
        if time.monotonic() - known.at > KNOWN_SECONDS:
            listed = await self._cluster.call(entries, limit=SEARCH_SECONDS)
            known.at, known.entries = time.monotonic(), listed
        owner = await self._owner()
        return [
            each
            for each in known.entries
            if each.owner != owner and (self._names is None or each.name in self._names)
        ]

    async def nearest(
        self, vector: Vector, embedder: str, k: int, scope: SharedScope
    ) -> SharedHits:
        """Return the passages nearest to a vector, scored by cosine similarity.

        Folders with vectors of another embedder are left out: words find them.
        """
        wanted = collection_name(embedder)

        async def search(client: "WeaviateAsyncClient", entry: Entry) -> list[SharedPassage]:
            from weaviate.classes.query import MetadataQuery

            if entry.collection != wanted:
                return []
            found = await collection(client, entry.collection, entry.name).query.near_vector(
                vector.tolist(),
                limit=k,
                filters=_condition(scope),
                include_vector=True,
                return_metadata=MetadataQuery(distance=True),
            )
            return [_passage(entry, o, 1.0 - (o.metadata.distance or 0.0)) for o in found.objects]

        return await self._search(search, k, scope)

    async def search_words(
        self, query: str, embedder: str | None, k: int, scope: SharedScope
    ) -> SharedHits:
        """Return passages that have words of a query, and what it takes to score them."""
        weights = query_terms(query).searched
        statistics: dict[str, WordStatistics] = {}
        wanted = collection_name(embedder)

        async def search(client: "WeaviateAsyncClient", entry: Entry) -> list[SharedPassage]:
            target = collection(client, entry.collection, entry.name)
            counts = await self._frequencies(target, entry, list(weights))
            vectors = entry.collection == wanted
            found = await asyncio.gather(
                *(
                    _matching(target, terms, limit, scope, vectors=vectors)
                    for terms, limit in _queries(weights, counts, k)
                )
            )
            objects = {each.uuid: each for objects in found for each in objects}.values()
            uses = [use_of(str(each.properties[TERMS]).split(), weights) for each in objects]
            length = sum(use.length for use in uses) / (len(uses) or 1)
            total = max(entry.chunks, *counts.values())
            statistics[entry.name] = WordStatistics(total, length, counts)
            return [
                _passage(entry, each, 0.0, use) for each, use in zip(objects, uses, strict=True)
            ]

        hits = await self._search(search, None, scope) if weights else SharedHits()
        seen = self._in_scope(await self._owner(), scope)
        others = [e for e in seen if is_current(e.collection) and e.collection != wanted]
        unread = [each for each in seen if not is_current(each.collection)]
        notices = (*hits.notices, *_by_words_only(others, embedder), *_of_another_version(unread))
        return SharedHits(hits.found, notices, statistics)

    async def _frequencies(
        self, target: "Collection", entry: Entry, terms: Sequence[str]
    ) -> dict[str, int]:
        """Return how many chunks of a folder have each term; known ones until it changes."""
        known = self._known.frequencies
        if len(known) > MAX_FREQUENCIES:
            known.clear()
        keys = {term: (entry.name, entry.published, term) for term in terms}
        missing = [term for term, key in keys.items() if key not in known]
        found = await asyncio.gather(*(_count(target, term) for term in missing))
        known.update({keys[term]: n for term, n in zip(missing, found, strict=True)})
        return {term: known[key] for term, key in keys.items() if key in known}

    async def extracted_text(self, name: str, path: str) -> tuple[str, list[int]]:
        """Return the text of a shared document without overlaps, and each line's number.

        Raises:
            DocumentNotFound: there is no such document that the principal may see.
            ShareFailed: the cluster does not answer.
        """
        try:
            entry = next((each for each in await self.folders() if each.name == name), None)
            read = partial(_chunks_of, entry, path) if entry is not None else None
            chunks = await self._cluster.call(read, limit=READ_SECONDS) if read else []
        except VectorStoreDown as exc:
            raise ShareFailed(exc.message, exc.hint) from exc
        if not chunks:
            raise DocumentNotFound(
                f"No shared document is called {name}/{path}.", "`allma shares` lists the folders."
            )
        return joined(chunks), lines_of(chunks)

    def _in_scope(self, owner: str, scope: SharedScope) -> list[Entry]:
        """Return the known folders of others that are seen and in scope, of any version."""
        return [
            each
            for each in self._known.entries
            if each.owner != owner
            and (self._names is None or each.name in self._names)
            and (scope.names is None or each.name in scope.names)
        ]

    async def _search(self, search: Search, k: int | None, scope: SharedScope) -> SharedHits:
        """Search all folders in scope, and return the `k` best passages; None: all found."""
        known = self._known
        if time.monotonic() < known.rest_until:
            return SharedHits(notices=(known.failure,))
        try:
            await self.folders()
            seen = self._in_scope(await self._owner(), scope)
            folders = [each for each in seen if is_current(each.collection)]
            if not folders:
                return SharedHits()
            every = partial(_search_every, search, folders)
            found, lost = await self._cluster.call(every, limit=SEARCH_SECONDS)
        except VectorStoreDown as exc:
            known.failure = f"Shared folders are not searched: {exc.message}"
            known.rest_until = time.monotonic() + REST_SECONDS
            return SharedHits(notices=(known.failure,))
        globs = PathGlobs(scope.globs)
        passages = [p for p in found if not globs or globs.matches(_place(p))]
        notices = tuple(f"The cluster has lost {name}, which is not searched." for name in lost)
        return SharedHits(sorted(passages, key=lambda p: -p.passage.score)[:k], notices)


@dataclass
class _Known:
    """What was last read of the cluster, and when; `failure`: why searches leave it alone."""

    entries: list[Entry] = field(default_factory=list[Entry])
    at: float = float("-inf")
    failure: str = ""
    rest_until: float = float("-inf")
    frequencies: dict[tuple[str, int, str], int] = field(
        default_factory=dict[tuple[str, int, str], int]
    )


def _queries(
    weights: Mapping[str, float], counts: Mapping[str, int], k: int
) -> list[tuple[str, int]]:
    """Return what to search for in a folder, and how many hits of each.

    Of several terms, Weaviate before 1.38 may leave out the best match while it is not yet written
    to a segment (weaviate/weaviate#11780), so the rarest are searched alone as well.
    """
    there = sorted((t for t in weights if counts.get(t)), key=lambda term: counts[term])
    if len(there) < 2:
        return [(term, k) for term in there]
    return [(" ".join(there), k), *((term, ALONE) for term in there[:MAX_ALONE])]


async def _matching(
    target: "Collection", terms: str, limit: int, scope: SharedScope, *, vectors: bool
) -> list[Any]:
    found = await target.query.bm25(
        terms,
        query_properties=[TERMS],
        limit=limit,
        filters=_condition(scope),
        include_vector=vectors,
    )
    return found.objects


async def _count(target: "Collection", term: str) -> int:
    from weaviate.classes.query import Filter

    where = Filter.by_property(TERMS).equal(term)
    return (await target.aggregate.over_all(filters=where, total_count=True)).total_count or 0


async def _search_every(
    search: Search, folders: Sequence[Entry], client: "WeaviateAsyncClient"
) -> tuple[list[SharedPassage], list[str]]:
    """Return what all folders have, and the names of those that the cluster has lost."""
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one(entry: Entry) -> list[SharedPassage]:
        async with at_once:
            return await search(client, entry)

    results = await asyncio.gather(*map(one, folders), return_exceptions=True)
    found: list[SharedPassage] = []
    lost: list[str] = []
    for entry, result in zip(folders, results, strict=True):
        if isinstance(result, list):
            found += result
        elif any(text in str(result) for text in ("tenant not found", "could not find class")):
            lost.append(entry.name)
        else:
            raise result
    return found, lost


async def _chunks_of(entry: Entry, path: str, client: "WeaviateAsyncClient") -> list[Chunk]:
    from weaviate.classes.query import Filter, Sort

    found = await collection(client, entry.collection, entry.name).query.fetch_objects(
        filters=Filter.by_property(PATH).equal(path),
        sort=Sort.by_property(INDEX),
        limit=MAX_CHUNKS,
    )
    return [chunk_of(each.properties) for each in found.objects]


def _passage(entry: Entry, found: Any, score: float, words: WordUse | None = None) -> SharedPassage:
    vector = found.vector.get("default") if found.vector else None
    return passage_of(entry.name, chunk_id(found.uuid), found.properties, score, vector, words)


def _place(found: SharedPassage) -> str:
    """Return the path in the shared folder."""
    return found.passage.path.removeprefix(found.passage.workspace + "/")


def _by_words_only(others: Sequence[Entry], embedder: str | None) -> list[str]:
    """Return a sentence about folders whose vectors do not fit those of the query."""
    if not others:
        return []
    names = ", ".join(each.name for each in others)
    why = "they have vectors of another embedder" if embedder else "nothing is indexed here yet"
    return [f"Keyword search only in {names}: {why}."]


def _of_another_version(folders: Sequence[Entry]) -> list[str]:
    """Return a sentence about folders whose chunks have another form than this version's."""
    if not folders:
        return []
    names = ", ".join(each.name for each in folders)
    return [f"Not searched: {names}, published by another version of Allma. Use the same version."]


def _condition(scope: SharedScope) -> "Condition | None":
    """Return what follows from the globs of a scope, as the cluster can filter by it."""
    globs = PathGlobs(scope.globs)
    return _filter(glob_filter(globs.included, globs.excluded, ("/",))) if globs else None


def _filter(terms: TermFilter) -> "Condition | None":
    from weaviate.classes.query import Filter

    place = Filter.by_property(PLACE)
    wanted = [place.contains_all(sorted(each)) for each in terms.any_of]
    refused = [Filter.not_(place.contains_all(sorted(each))) for each in terms.none_of]
    parts = [*([Filter.any_of(wanted)] if wanted else []), *refused]
    return Filter.all_of(parts) if parts else None
