"""One shared folder in the cluster, as others read it: a tenant, and what is asked of it."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from allma_server.ports import Vector
from allma_server.storage.cluster.objects import chunk_id, collection
from allma_server.storage.path_terms import glob_filter
from allma_server.storage.shared.chunks import (
    INDEX,
    PATH,
    PLACE,
    TERMS,
    chunk_of,
    passage_of,
)
from allma_server.storage.shared.registry import Entry
from allma_server.storage.sqlite.globs import PathGlobs
from allma_server.types import Chunk, Run, SharedPassage, SharedScope, TermFilter, WordUse

if TYPE_CHECKING:
    from weaviate import WeaviateAsyncClient
    from weaviate.collections.classes.filters import FilterReturn as Condition

MAX_CHUNKS = 10_000
"""Chunks of a document that are read: what a cluster returns at most by default."""

COUNT_SECONDS, FREQUENT_SHARE = 0.7, 0.05
"""The time for counting the chunks that have a term, which takes 20 ms for each thousand of them,
and the share of all chunks that is assumed when it is over."""

LOOKED_AT = 50
"""Texts that are looked at for words like one that nothing contains, or that begin like one."""

MAX_WORDS = 16
"""Words that one prefix or one misspelt term stands for: the most frequent ones of those texts."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A shared folder. `vectors`: whether its vectors are comparable with those of the query."""

    client: "WeaviateAsyncClient"
    entry: Entry
    scope: SharedScope
    vectors: bool

    @property
    def _objects(self) -> Any:
        return collection(self.client, self.entry.collection, self.entry.name)

    async def nearest(self, vector: Vector, k: int) -> list[SharedPassage]:
        """Return the passages nearest to a vector, scored by cosine similarity."""
        from weaviate.classes.query import MetadataQuery

        found = await self._objects.query.near_vector(
            vector.tolist(),
            limit=k,
            filters=_in_scope(self.scope),
            include_vector=self.vectors,
            return_metadata=MetadataQuery(distance=True),
        )
        return [self.passage(o, 1.0 - (o.metadata.distance or 0.0)) for o in found.objects]

    async def matching(self, terms: Sequence[str], limit: int, *, all_of: Run = ()) -> list[Any]:
        """Return the objects that match best by any of these terms, and have all of a run."""
        from weaviate.classes.query import Filter

        conditions = [each for each in (_in_scope(self.scope),) if each is not None]
        if all_of:
            conditions.append(Filter.by_property(TERMS).contains_all(list(all_of)))
        found = await self._objects.query.bm25(
            " ".join(terms),
            query_properties=[TERMS],
            limit=limit,
            filters=Filter.all_of(conditions) if conditions else None,
            include_vector=self.vectors,
        )
        return found.objects

    async def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        """Return how many chunks have each term, or an estimate for those that many have."""
        from weaviate.classes.query import Filter

        async def count(term: str) -> int:
            where = Filter.by_property(TERMS).equal(term)
            try:
                async with asyncio.timeout(COUNT_SECONDS):
                    counted = await self._objects.aggregate.over_all(
                        filters=where, total_count=True
                    )
            except TimeoutError:
                return int(self.entry.chunks * FREQUENT_SHARE)
            return counted.total_count or 0

        counts = await asyncio.gather(*map(count, terms))
        return dict(zip(terms, counts, strict=True))

    async def words_beginning(self, prefix: str) -> list[str]:
        """Return frequent words that begin like this."""
        from weaviate.classes.query import Filter

        texts = await self._texts(Filter.by_property(TERMS).like(f"{prefix}*"))
        return _frequent(word for text in texts for word in text if word.startswith(prefix))

    async def words_among(self, words: Collection[str]) -> list[str]:
        """Return those of these words that are in its texts, the most frequent ones."""
        from weaviate.classes.query import Filter

        texts = await self._texts(Filter.by_property(TERMS).contains_any(sorted(words)))
        return _frequent(word for text in texts for word in text if word in words)

    async def _texts(self, condition: "Condition") -> list[set[str]]:
        """Return the words of some texts that meet a condition."""
        found = await self._objects.query.fetch_objects(
            filters=condition, limit=LOOKED_AT, return_properties=[TERMS]
        )
        return [set(str(each.properties[TERMS]).split()) for each in found.objects]

    async def named(self, names: Sequence[str], limit: int) -> list[SharedPassage]:
        """Return the beginnings of documents with these file names, without or with any suffix."""
        from weaviate.classes.query import Filter, Sort

        place = Filter.by_property(PLACE)
        alternatives = [place.contains_any([f"name:{name}" for name in names])]
        alternatives += [place.like(f"name:{name}.*") for name in names]
        conditions = [Filter.any_of(alternatives), _in_scope(self.scope)]
        found = await self._objects.query.fetch_objects(
            filters=Filter.all_of([each for each in conditions if each is not None]),
            sort=Sort.by_property(INDEX),
            limit=limit,
            include_vector=self.vectors,
        )
        return [self.passage(each, 0.0) for each in found.objects]

    async def document(self, path: str) -> list[Chunk]:
        """Return the chunks of a document, in their order."""
        from weaviate.classes.query import Filter, Sort

        found = await self._objects.query.fetch_objects(
            filters=Filter.by_property(PATH).equal(path),
            sort=Sort.by_property(INDEX),
            limit=MAX_CHUNKS,
        )
        return [chunk_of(each.properties) for each in found.objects]

    def passage(self, found: Any, score: float, words: WordUse | None = None) -> SharedPassage:
        """Return an object as a passage."""
        vector = found.vector.get("default") if found.vector and self.vectors else None
        name, id = self.entry.name, chunk_id(found.uuid)
        return passage_of(name, id, found.properties, score, vector, words)


def _frequent(words: Iterable[str]) -> list[str]:
    return [word for word, _ in Counter(words).most_common(MAX_WORDS)]


def _in_scope(scope: SharedScope) -> "Condition | None":
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
