"""Search in the folders that other engines share, and read their documents."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from collections.abc import Collection as Names
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from allma_server.errors import DocumentNotFound, ShareFailed, VectorStoreDown
from allma_server.ports import Vector
from allma_server.storage.cluster.connection import Cluster
from allma_server.storage.shared.chunks import collection_name, is_current
from allma_server.storage.shared.many import AT_ONCE, Searched, search_folders
from allma_server.storage.shared.registry import Entry, entries
from allma_server.storage.shared.tenant import MAX_CHUNKS, Tenant
from allma_server.storage.shared.words import FolderWords, WordQuery, find_words, scored, word_query
from allma_server.storage.sqlite.globs import PathGlobs
from allma_server.storage.sqlite.passages import joined, lines_of
from allma_server.types import Chunk, SharedHits, SharedPassage, SharedScope, WordStatistics

if TYPE_CHECKING:
    from weaviate import WeaviateAsyncClient

SEARCH_SECONDS, READ_SECONDS = 3.0, 15.0
"""Time limits; a search shows what is here when the cluster takes longer."""

SEARCHED_SHARE = 0.9
"""Of the time of a search, when it ends with what it has: some folders are late."""

REST_SECONDS = 5.0
"""After a failure, searches leave the cluster alone for so long: each would wait for it."""

KNOWN_SECONDS = 2.0
"""How long the list of shared folders is used again."""

MANY, MARGIN, LEAST = AT_ONCE, 3, 10
"""Of more folders, the largest are asked how frequent words are, and all together for MARGIN times
the hits that are wanted, each for LEAST: the best ones are nearly always among them."""

MAX_NAMED = 10
"""Beginnings of files that are read because of their names, in each folder."""

MAX_FREQUENCIES = 100_000
"""Numbers of texts with a term that are kept."""

T = TypeVar("T")


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
        owner = await self._owner()
        return [
            each
            for each in await self.all_folders()
            if each.owner != owner and (self._names is None or each.name in self._names)
        ]

    async def all_folders(self) -> list[Entry]:
        """Return all folders in the cluster, whosoever they are.

        Raises:
            VectorStoreDown: the cluster does not answer.
        """
        known = self._known
        if time.monotonic() - known.at > KNOWN_SECONDS:
            listed = await self._cluster.call(entries, limit=SEARCH_SECONDS)
            known.at, known.entries = time.monotonic(), listed
        return known.entries

    async def nearest(
        self, vector: Vector, embedder: str, k: int, scope: SharedScope
    ) -> SharedHits:
        """Return the passages nearest to a vector, scored by cosine similarity.

        Folders with vectors of another embedder are left out: words find them.
        """
        wanted = collection_name(embedder)

        async def search(
            folders: Sequence[Entry], client: "WeaviateAsyncClient", until: float
        ) -> Searched[list[SharedPassage]]:
            comparable = [each for each in folders if each.collection == wanted]
            limit = _limit(k, len(comparable))

            async def one(entry: Entry) -> list[SharedPassage]:
                return await Tenant(client, entry, scope, vectors=True).nearest(vector, limit)

            return await search_folders(one, comparable, until)

        searched, notices = await self._search(search, scope)
        found = [passage for passages in searched.found for passage in passages]
        return self._hits(found, k, scope, searched, notices)

    async def search_words(
        self,
        query: str,
        embedder: str | None,
        k: int,
        scope: SharedScope,
        here: WordStatistics | None = None,
    ) -> SharedHits:
        """Return passages that have words of a query, and what it takes to score them.

        `here`: of the terms in the index here, which are not taken for misspelt.
        """
        wanted, words = collection_name(embedder), word_query(query)
        unknown: dict[str, set[str]] = {}
        others: list[Entry] = []

        async def search(
            folders: Sequence[Entry], client: "WeaviateAsyncClient", until: float
        ) -> Searched[FolderWords]:
            def tenant(entry: Entry) -> Tenant:
                return Tenant(client, entry, scope, vectors=entry.collection == wanted)

            others.extend(each for each in folders if each.collection != wanted)
            counts = await self._count(words, [tenant(each) for each in folders], until)
            known = [WordStatistics(0, 0.0, each) for each in counts.values()]
            unknown.update(words.unknown([*known, *([here] if here else [])]))
            limit = _limit(k, len(folders))

            async def one(entry: Entry) -> FolderWords:
                return await find_words(
                    tenant(entry), words, limit, counts.get(entry.name), unknown
                )

            return await search_folders(one, folders, until)

        if not words.weights and not words.prefixes:
            return SharedHits()
        searched, notices = await self._search(search, scope)
        found, statistics, parts = await asyncio.to_thread(scored, words, searched.found, unknown)
        notices = (*notices, *_by_words_only(others, embedder))
        hits = self._hits(found, None, scope, searched, notices)
        similar = tuple(t for t in unknown if any(each.similar.get(t) for each in searched.found))
        return SharedHits(hits.found, hits.notices, hits.late, statistics, parts, similar)

    async def named(self, names: Sequence[str], scope: SharedScope) -> SharedHits:
        """Return the beginnings of documents with these file names, without or with any suffix."""

        async def search(
            folders: Sequence[Entry], client: "WeaviateAsyncClient", until: float
        ) -> Searched[list[SharedPassage]]:
            async def one(entry: Entry) -> list[SharedPassage]:
                tenant = Tenant(client, entry, scope, vectors=False)
                return await tenant.named(names, MAX_NAMED)

            return await search_folders(one, folders, until)

        searched, notices = await self._search(search, scope)
        found = [passage for passages in searched.found for passage in passages]
        return self._hits(found, None, scope, searched, notices)

    async def _count(
        self, words: WordQuery, tenants: Sequence[Tenant], until: float
    ) -> dict[str, dict[str, int]]:
        """Return how many chunks have each term, of the largest folders; known ones until then."""
        known = self._known.frequencies
        if len(known) > MAX_FREQUENCIES:
            known.clear()
        largest = sorted(tenants, key=lambda each: -each.entry.chunks)[:MANY]
        by_name = {each.entry.name: each for each in largest}

        async def count(entry: Entry) -> tuple[str, dict[str, int]]:
            keys = {term: (entry.name, entry.published, term) for term in words.counted}
            missing = [term for term, key in keys.items() if key not in known]
            found = await by_name[entry.name].frequencies(missing)
            known.update({keys[term]: n for term, n in found.items()})
            return entry.name, {term: known[key] for term, key in keys.items() if key in known}

        counted = await search_folders(count, [each.entry for each in largest], until)
        return dict(counted.found)

    async def extracted_text(self, name: str, path: str) -> tuple[str, list[int], bool]:
        """Return the text of a shared document without overlaps, each line's number, and if it is
        cut at the end.

        Raises:
            DocumentNotFound: there is no such document that the principal may see.
            ShareFailed: the cluster does not answer, or another version of Allma has published it.
        """
        try:
            entry = next((each for each in await self.folders() if each.name == name), None)
            chunks = await self._document(entry, path) if entry is not None else []
        except VectorStoreDown as exc:
            raise ShareFailed(exc.message, exc.hint) from exc
        if not chunks:
            raise DocumentNotFound(
                f"No shared document is called {name}/{path}.", "`allma shares` lists the folders."
            )
        return joined(chunks), lines_of(chunks), len(chunks) >= MAX_CHUNKS

    async def _document(self, entry: Entry, path: str) -> list[Chunk]:
        if not is_current(entry.collection):
            raise ShareFailed(
                f"{entry.name} was published by another version of Allma, which stores it "
                "differently.",
                "Use the same version on both machines.",
            )

        async def read(client: "WeaviateAsyncClient") -> list[Chunk]:
            return await Tenant(client, entry, SharedScope(), vectors=False).document(path)

        return await self._cluster.call(read, limit=READ_SECONDS)

    async def _search(
        self,
        search: Callable[[Sequence[Entry], "WeaviateAsyncClient", float], Awaitable[Searched[T]]],
        scope: SharedScope,
    ) -> tuple[Searched[T], tuple[str, ...]]:
        """Search the folders in scope, and return sentences about what was not searched."""
        known = self._known
        if time.monotonic() < known.rest_until:
            return Searched([], [], []), (known.failure,)

        async def within_time(client: "WeaviateAsyncClient") -> Searched[T]:
            seconds = self._cluster.first_part(SEARCH_SECONDS) * SEARCHED_SHARE
            return await search(folders, client, asyncio.get_running_loop().time() + seconds)

        try:
            seen = await self.folders()
            if scope.names is not None:
                seen = [each for each in seen if each.name in scope.names]
            folders = sorted((e for e in seen if is_current(e.collection)), key=known.order)
            unread = [each.name for each in seen if not is_current(each.collection)]
            notices = _of_another_version(unread)
            if not folders:
                return Searched([], [], []), notices
            return await self._cluster.call(within_time, limit=SEARCH_SECONDS), notices
        except VectorStoreDown as exc:
            known.failure = f"Shared folders are not searched: {exc.message}"
            known.rest_until = time.monotonic() + REST_SECONDS
            return Searched([], [], []), (known.failure,)

    def _hits(
        self,
        found: Sequence[SharedPassage],
        k: int | None,
        scope: SharedScope,
        searched: Searched[T],
        notices: Sequence[str],
    ) -> SharedHits:
        """Return the `k` best passages, all for None, and note which folders had the best."""
        globs = PathGlobs(scope.globs)
        wanted = [p for p in found if not globs or globs.matches(_place(p))]
        best = sorted(wanted, key=lambda p: -p.passage.score)[:k]
        self._known.note_found(p.passage.shared or "" for p in best[:MANY])
        late = tuple(each.name for each in searched.late)
        return SharedHits(best, (*notices, *searched.failed), late)


@dataclass
class _Known:
    """What was last read of the cluster, and when; `failure`: why searches leave it alone.

    `found`: when a folder was last among the best, counted in searches.
    """

    entries: list[Entry] = field(default_factory=list[Entry])
    at: float = float("-inf")
    failure: str = ""
    rest_until: float = float("-inf")
    frequencies: dict[tuple[str, int, str], int] = field(
        default_factory=dict[tuple[str, int, str], int]
    )
    found: dict[str, int] = field(default_factory=dict[str, int])
    searches: int = 0

    def order(self, entry: Entry) -> tuple[int, int]:
        """Return what folders are ordered by: found recently first, then large ones."""
        return -self.found.get(entry.name, 0), -entry.chunks

    def note_found(self, names: Iterable[str]) -> None:
        self.searches += 1
        self.found.update(dict.fromkeys(names, self.searches))


def _limit(k: int, folders: int) -> int:
    """Return how many hits each of so many folders is asked for."""
    return k if folders <= MANY else min(k, max(LEAST, MARGIN * k // folders))


def _place(found: SharedPassage) -> str:
    """Return the path in the shared folder."""
    return found.passage.path.removeprefix(found.passage.workspace + "/")


def _by_words_only(others: Sequence[Entry], embedder: str | None) -> list[str]:
    """Return a sentence about folders whose vectors do not fit those of the query."""
    if not others:
        return []
    names = ", ".join(sorted(each.name for each in others))
    theirs = ", ".join(sorted({each.embedder for each in others if each.embedder})) or "none yet"
    why = f"they have vectors of another embedder ({theirs})"
    if not embedder:
        why = "nothing is indexed here yet"
    return [f"Keyword search only in {names}: {why}."]


def _of_another_version(names: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence about folders whose chunks have another form than this version's."""
    if not names:
        return ()
    why = "published by another version of Allma. Use the same version."
    return (f"Not searched: {', '.join(names)}, {why}",)
