"""Find passages: dense and lexical in parallel, fused, reranked, then as people want to see them.

The way of a candidate: both retrievers give their best hits; `fuse.py` makes one list of them; the
first of these are read and reranked by their words (`rerank.py`), by how they resemble the best of
them (`alike.py`) and, where the settings name one, by a model; `choose.py` says which are shown.
`explain.py` tells the same way for every candidate.
"""

import asyncio
import stat
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from allma_server._internal.disk_calls import call_disk
from allma_server._internal.workspace_files import status_of
from allma_server.errors import AllmaError, InvalidArgument, NothingToIndex, ProviderError
from allma_server.ports import Embedder, FullTextIndex, PassageStore, Reranker, VectorSearch
from allma_server.search.feedback import FOR_QUESTIONS, FOR_TOPICS, alike
from allma_server.search.fusion import Fused, fuse, weight
from allma_server.search.query_type import is_question, share_of_code
from allma_server.search.reranking import WordReranker
from allma_server.search.select import SHOWN, Selection, chosen, originals_first
from allma_server.types import Hit, NoticeCode, Passage, SearchResult

CANDIDATES = 100
"""Hits taken from each retriever."""

RERANKED = 30
"""Passages that are read to be ordered anew; more cost time and gain nothing."""

LONGEST_QUERY = 4000
"""Characters of a query that are searched for; no retriever gains from more."""


STALE_SECONDS = 1.0
"""How long a disk may take to tell whether files have changed."""

JUDGED = 20
"""Passages that a second reranker is given: a model takes a while for each of them."""
_WORDS = WordReranker()


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to look: folders (empty: everywhere indexed) and a glob for paths inside them."""

    folders: tuple[str, ...] = ()
    glob: str | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """What a search reads, and who helps it. `embedder` gives None before anything is indexed.

    `judge` orders the best passages anew after their words did, in at most `seconds`.
    """

    passages: PassageStore
    full_text: FullTextIndex
    vectors: VectorSearch
    embedder: Callable[[], Awaitable[Embedder | None]]
    judge: Reranker | None = None
    seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a search found: all that the retrievers gave, and what was read of it.

    `reranked` are ordered by their words, with that score; `unranked` come after them.
    `judgement` has the judge's score of each of the first of them, None where there was none.
    """

    query: str
    fused: list[Fused]
    reranked: list[Passage]
    unranked: list[Passage]
    judgement: list[float] | None
    notice: str | None
    notice_code: NoticeCode | None

    @property
    def bar(self) -> float:
        """The share of the best score that a passage must have to be shown."""
        return SHOWN if len(self.fused) >= CANDIDATES else 0.0

    @property
    def passages(self) -> list[Passage]:
        """All that was read, in the last order, which the judge has the last word on.

        Its scores have units of their own, so the scores stay where they are: at their places.
        """
        judged = self.judgement or []
        order = sorted(range(len(judged)), key=lambda index: -judged[index])
        first = [
            replace(self.reranked[index], score=place.score)
            for index, place in zip(order, self.reranked, strict=False)
        ]
        return [*first, *self.reranked[len(judged) :], *self.unranked]


async def find_passages(query: str, k: int, scope: Scope, sources: Sources) -> SearchResult:
    """The passages that match best, each from another place: at most `k`, and none far below.

    When the embedder cannot be had, words alone are searched and the notice says so.

    Raises:
        InvalidArgument: the query is empty.
    """
    began = time.monotonic()
    ranking = await rank(query, k, scope, sources)
    shown = chosen(ranking.passages, k, bar=ranking.bar)
    facts, passages = await asyncio.gather(
        sources.passages.facts([each.passage for each in shown]),
        asyncio.gather(*(_whole(each, sources.passages) for each in shown)),
    )
    passages = await mark_stale(passages, facts)
    milliseconds = int((time.monotonic() - began) * 1000)
    return SearchResult(passages, ranking.notice, milliseconds, ranking.notice_code)


async def rank(query: str, k: int, scope: Scope, sources: Sources) -> Ranking:
    """Enough passages to choose `k` from, the best first.

    Raises:
        InvalidArgument: the query is empty.
    """
    query = query.strip()[:LONGEST_QUERY]
    if not query:
        raise InvalidArgument("The query is empty.", "Search for at least one word.")
    documents = await _documents(scope, sources.passages)
    (dense, notice), lexical = await asyncio.gather(
        _dense(query, documents, sources),
        sources.full_text.search_text(query, CANDIDATES, documents),
    )
    fused = fuse(dense, lexical, CANDIDATES)
    hits = [Hit(f.chunk_id, f.score) for f in fused[: max(RERANKED, k * 4 + 10)]]
    found = await sources.passages.passages(hits)
    first = max(RERANKED, k)
    reranked = await _reranked(query, found[:first], fused, sources)
    ordered = originals_first([*reranked, *found[first:]])
    reranked, unranked = ordered[: len(reranked)], ordered[len(reranked) :]
    judgement, skipped = await _judgement(query, reranked[:JUDGED], sources)
    code: NoticeCode | None = "embedder_unavailable" if notice else None
    notice = " ".join(filter(None, (notice, skipped))) or None
    return Ranking(query, fused, reranked, unranked, judgement, notice, code)


async def _whole(shown: Selection, passages: PassageStore) -> Passage:
    if shown.neighbour is None:
        return shown.passage
    return await passages.joined(shown.passage, shown.neighbour)


async def _documents(scope: Scope, passages: PassageStore) -> Collection[int] | None:
    if not scope.folders and not scope.glob:
        return None
    found: set[int] = set()
    for folder in scope.folders or (None,):
        found.update(await passages.matching_documents(folder, scope.glob, None))
    return found


async def _dense(
    query: str, documents: Collection[int] | None, sources: Sources
) -> tuple[list[Hit], str | None]:
    try:
        serving = await sources.embedder()
        while serving is not None:
            vector = await serving.embed_query(query)
            # Another one may have taken over meanwhile, whose vectors mean something else.
            former, serving = serving, await sources.embedder()
            if serving is former:
                break
        else:
            return [], None
    except ProviderError as exc:
        return [], f"Keyword search only: {exc}"
    return await sources.vectors.nearest(vector, CANDIDATES, documents), None


async def _reranked(
    query: str, passages: Sequence[Passage], fused: Sequence[Fused], sources: Sources
) -> list[Passage]:
    """The passages weighed as fits the question and their texts, then by words and likeness."""
    code = share_of_code(passages)
    best = max((f.lexical or 0.0 for f in fused), default=0.0)
    suited = weight(query, code, best)
    weighed = {f.chunk_id: f.weighed(suited) for f in fused}
    passages = [replace(passage, score=weighed[passage.chunk_id]) for passage in passages]
    scores, vectors = await asyncio.gather(
        _WORDS.rerank(query, passages),
        sources.vectors.vectors_of([passage.chunk_id for passage in passages]),
    )
    likeness = alike(scores, [vectors.get(passage.chunk_id) for passage in passages])
    gain = (1 - code) * (FOR_QUESTIONS if is_question(query) else FOR_TOPICS)
    scored = [
        replace(passage, score=score + gain * like)
        for passage, score, like in zip(passages, scores, likeness, strict=True)
    ]
    return sorted(scored, key=lambda p: -p.score)


async def _judgement(
    query: str, passages: Sequence[Passage], sources: Sources
) -> tuple[list[float] | None, str | None]:
    """The judge's scores, or None and, if there is a judge, why it was skipped."""
    judge = sources.judge
    if judge is None or not passages:
        return None, None
    try:
        async with asyncio.timeout(sources.seconds):
            return await judge.rerank(query, passages), None
    except TimeoutError:
        why = f"it took longer than rerank_seconds ({sources.seconds:g})."
    except AllmaError as exc:
        why = str(exc)
    return None, f"Reranking by {judge.name} was skipped: {why}"


GONE = (-1, -1)
"""The facts of a document that has left the index meanwhile: its passages are stale."""


async def mark_stale(
    passages: Sequence[Passage], facts: Mapping[int, tuple[int, int] | None]
) -> list[Passage]:
    """The passages, those marked whose files are not as they were indexed.

    One whose disk does not answer in time cannot be relied on either.
    """
    workspaces = {passage.workspace for passage in passages}
    found = await asyncio.gather(
        *(
            _changed_in(workspace, [p for p in passages if p.workspace == workspace], facts)
            for workspace in workspaces
        )
    )
    changed = frozenset[str]().union(*found)
    return [replace(passage, stale=passage.path in changed) for passage in passages]


async def _changed_in(
    workspace: str, passages: Sequence[Passage], facts: Mapping[int, tuple[int, int] | None]
) -> set[str]:
    def changed() -> set[str]:
        return {p.path for p in passages if _changed(p.path, facts.get(p.document_id, GONE))}

    try:
        return await call_disk(("stale", workspace), STALE_SECONDS, changed)
    except TimeoutError:
        return {passage.path for passage in passages}


def _changed(path: str, known: tuple[int, int] | None) -> bool:
    if known is None:
        return False  # a file that may not be looked at
    try:
        status = status_of(path)
    except (NothingToIndex, OSError):
        return True
    return known != (status.st_size, status.st_mtime_ns) or not stat.S_ISREG(status.st_mode)
