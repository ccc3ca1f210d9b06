"""Views of the local stores that also find what others share: one ranking for both.

Scores have the same unit in both: cosines, and BM25 of the same terms. Passages of others have ids
below zero, so that each call of a view knows which store has the rest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from allma_server._internal.tokens import query_terms
from allma_server.errors import ProviderError
from allma_server.ports import (
    Embedder,
    FullTextIndex,
    PassageStore,
    SharedIndex,
    Vector,
    VectorSearch,
    WordFacts,
)
from allma_server.search.shared_scores import score, together
from allma_server.types import (
    DocumentSet,
    Hit,
    Passage,
    SharedHits,
    SharedPassage,
    SharedScope,
    WordHits,
    WordStatistics,
    common_heading,
)

LISTED = 5
"""Folders that a notice names."""


@dataclass(frozen=True, slots=True)
class SharedFinds:
    """What one search has found in the folders of others, and why it may be incomplete.

    `embedder` returns that of the index here. `scope`: where the search looks.
    """

    index: SharedIndex
    scope: SharedScope
    embedder: Callable[[], Awaitable[Embedder | None]]
    found: dict[int, SharedPassage] = field(default_factory=dict[int, SharedPassage])
    notices: dict[str, None] = field(default_factory=dict[str, None])
    late: dict[str, None] = field(default_factory=dict[str, None])

    def add(self, hits: SharedHits) -> list[Hit]:
        """Remember passages, and return them as hits."""
        self.notices.update(dict.fromkeys(hits.notices))
        self.late.update(dict.fromkeys(hits.late))
        for each in hits.found:
            known = self.found.get(each.passage.chunk_id)
            if known is None or known.vector is None:
                self.found[each.passage.chunk_id] = each
        return [Hit(each.passage.chunk_id, each.passage.score) for each in hits.found]

    def notice(self, before: str | None) -> str | None:
        """Return the notice of a search with those about what is shared."""
        return " ".join(filter(None, (before, *self.notices, _late(list(self.late))))) or None


class SharedVectors:
    """Vectors here and in the cluster; implements `ports.VectorSearch`."""

    def __init__(self, local: VectorSearch, finds: SharedFinds) -> None:
        self._local = local
        self._finds = finds

    async def nearest(
        self, vector: Vector, k: int, documents: DocumentSet | None = None
    ) -> list[Hit]:
        finds = self._finds
        embedder = await finds.embedder()
        assert embedder is not None, "the vector is of an embedder"
        hits, shared = await asyncio.gather(
            self._local.nearest(vector, k, documents),
            finds.index.nearest(vector, embedder.identity, k, finds.scope),
        )
        return _best([*hits, *finds.add(shared)], k)

    async def vectors_of(self, chunk_ids: Collection[int]) -> dict[int, Vector]:
        known = {each: self._finds.found[each].vector for each in chunk_ids if each < 0}
        local = await self._local.vectors_of([each for each in chunk_ids if each >= 0])
        return {**local, **{each: v for each, v in known.items() if v is not None}}


class SharedWords:
    """Words here and in the cluster; implements `ports.FullTextIndex`.

    `facts`: of the texts in the index here.
    """

    def __init__(self, local: FullTextIndex, facts: WordFacts, finds: SharedFinds) -> None:
        self._local = local
        self._facts = facts
        self._finds = finds

    async def search_text(
        self, query: str, k: int, documents: DocumentSet | None = None
    ) -> WordHits:
        finds = self._finds
        embedder, here = await asyncio.gather(
            _identity(finds), self._facts.statistics(query_terms(query).searched)
        )
        words, shared = await asyncio.gather(
            self._local.search_text(query, k, documents),
            finds.index.search_words(query, embedder, k, finds.scope, here),
        )
        hits = [*words.hits, *finds.add(shared)]
        if shared.parts:
            terms = {term for part in shared.parts for run in part.runs for term in run}
            here = await self._facts.statistics(terms)
            whole = together([here, *shared.statistics.values()])
            hits = await self._comparable(hits, shared, here, whole)
            similar = dict.fromkeys((*words.similar, *shared.similar))
            nowhere = tuple(term for term in similar if not whole.frequencies.get(term))
            words = replace(words, similar=nowhere)
        return replace(words, hits=_best(hits, k))

    async def _comparable(
        self, hits: Sequence[Hit], shared: SharedHits, here: WordStatistics, whole: WordStatistics
    ) -> list[Hit]:
        """Return the hits with scores as of one index of all texts."""
        # What else the index here has scored, such as phrases, stays as it is.
        terms = [part for part in shared.parts if list(map(len, part.runs)) == [1]]
        runs = [part.runs[0] for part in terms]
        ids = [hit.chunk_id for hit in hits if hit.chunk_id >= 0]
        uses = await self._facts.uses(ids, runs)
        # Not from `finds`: the search by vectors may have found the same passages since.
        others = {each.passage.chunk_id: each for each in shared.found}
        scored: list[Hit] = []
        for hit in hits:
            if (other := others.get(hit.chunk_id)) is not None:
                own = shared.statistics[other.passage.shared or ""]
                assert other.words is not None, "words found it"
                worth = score(other.words, own.mean_length, whole, shared.parts)
            elif (use := uses.get(hit.chunk_id)) is not None:
                before = score(use, here.mean_length, here, terms)
                worth = hit.score + score(use, here.mean_length, whole, terms) - before
            else:
                worth = hit.score
            scored.append(Hit(hit.chunk_id, max(worth, 0.0)))
        return [hit for hit in scored if hit.score > 0]

    async def documents_named(
        self, names: Sequence[str], documents: DocumentSet | None = None
    ) -> set[int]:
        local, shared = await asyncio.gather(
            self._local.documents_named(names, documents),
            self._finds.index.named(names, self._finds.scope),
        )
        self._finds.add(shared)
        return local | {each.passage.document_id for each in shared.found}


class SharedPassages:
    """Passages here and those found in the cluster; implements `ports.PassageStore`."""

    def __init__(self, local: PassageStore, finds: SharedFinds) -> None:
        self._local = local
        self._found = finds.found
        self.select_documents = local.select_documents
        self.shown = local.shown

    async def passages(self, hits: Sequence[Hit]) -> list[Passage]:
        return [self.shown(passage) for passage in await self.candidates(hits)]

    async def candidates(self, hits: Sequence[Hit]) -> list[Passage]:
        local = await self._local.candidates([hit for hit in hits if hit.chunk_id >= 0])
        known = {each.chunk_id: each for each in local}
        known.update({id: each.passage for id, each in self._found.items()})
        return [
            replace(known[hit.chunk_id], score=hit.score) for hit in hits if hit.chunk_id in known
        ]

    async def first_chunks(self, document_ids: Collection[int], count: int) -> list[int]:
        firsts: dict[int, Passage] = {}
        for each in self._found.values():
            known = firsts.get(each.passage.document_id)
            if known is None or each.passage.chunk_index < known.chunk_index:
                firsts[each.passage.document_id] = each.passage
        others = [firsts[id] for id in document_ids if id in firsts]
        others.sort(key=lambda p: (p.path.count("/"), p.path))
        local = [id for id in document_ids if id >= 0]
        own = await self._local.first_chunks(local, count) if local else []
        return [*own, *(each.chunk_id for each in others)][:count]

    async def joined(self, passage: Passage, neighbour: Passage) -> Passage:
        if passage.chunk_id >= 0:
            return await self._local.joined(passage, neighbour)
        two = [self._found[each.chunk_id] for each in (passage, neighbour)]
        first, second = sorted(two, key=lambda each: each.passage.chunk_index)
        # A later chunk may repeat the end of the one before, or begin on a line after it.
        rest = second.passage.text[max(0, first.end - second.start) :]
        between = "\n" if second.start > first.end else ""
        both = replace(
            passage,
            text=f"{first.passage.text}{between}{rest}",
            start_line=first.passage.start_line,
            end_line=max(first.passage.end_line, second.passage.end_line),
            heading=common_heading(first.passage.heading, second.passage.heading),
            uri=f"{passage.uri.partition('#')[0]}#L{first.passage.start_line}"
            f"-L{second.passage.end_line}",
        )
        return self.shown(both)

    async def facts(self, passages: Sequence[Passage]) -> dict[int, tuple[int, int] | None]:
        """Return the facts of local documents; the files of others cannot be looked at."""
        local = await self._local.facts([each for each in passages if each.document_id >= 0])
        return {**{p.document_id: None for p in passages if p.document_id < 0}, **local}


def _late(names: Sequence[str]) -> str:
    """Return a sentence about folders that took too long."""
    if not names:
        return ""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (
        f"Not searched in time: {', '.join(names[:LISTED])}{more}. Search in one of them with "
        f"`--workspace shared:{names[0]}`."
    )


def _best(hits: Sequence[Hit], k: int) -> list[Hit]:
    return sorted(hits, key=lambda hit: -hit.score)[:k]


async def _identity(finds: SharedFinds) -> str | None:
    try:
        embedder = await finds.embedder()
    except ProviderError:
        return None  # the search says so itself
    return embedder.identity if embedder is not None else None
