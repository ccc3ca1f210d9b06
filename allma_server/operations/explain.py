"""Explain how a search ranks its candidates."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from allma_server.operations.call import Call
from allma_server.operations.notices import notice_of
from allma_server.operations.scope import FileGlob, WorkspaceFolder, all_sources_of, scope_of
from allma_server.operations.text import location, render
from allma_server.search.explain import explain_passages
from allma_server.types import Candidate, Explanation, RankedScore

_LISTED_CANDIDATES = 40
"""Candidates in the text of an explanation."""


async def explain(
    call: Call,
    query: Annotated[str, Field(description="The query to explain.")],
    top_k: Annotated[
        int | None, Field(ge=1, le=50, description="Maximum number of passages (default 5).")
    ] = None,
    path: FileGlob = None,
    workspace: WorkspaceFolder = None,
) -> Explanation:
    """Show how a search ranks its candidates: each rank and score, and the outcome.

    The ranks are by vectors (dense), by keywords (lexical), fused and reranked. The outcome says
    why a candidate is not shown, such as a duplicate, an overlap or a low score.
    """
    scope = await scope_of(call, workspace, path)
    most = top_k or call.engine.config.top_k
    sources, finds = await all_sources_of(call, scope)
    found = await explain_passages(query, most, scope, sources)
    if finds is not None:
        found = replace(found, notice=finds.notice(found.notice))
    notice, code = await notice_of(call, scope, found)
    return replace(found, notice=notice, notice_code=code)


@render.register
def _explanation_text(result: Explanation) -> str:
    words = [*result.terms, *(f'"{phrase}"' for phrase in result.phrases)]
    words += [f"{prefix}*" for prefix in result.prefixes]
    parts = [f"Semantic search, and keyword search for: {' '.join(words)}."]
    if result.stop_words:
        parts[0] += f" Ignored as too common: {' '.join(result.stop_words)}."
    if result.similar:
        parts[0] += f" In no document, so similar words count: {' '.join(result.similar)}."
    if result.knowledge < 1:
        known = f"its scores count {result.knowledge:.0%}"
        parts.append(f"The embedder does not know the language of this query well: {known}.")
    if result.code:
        parts.append(f"{result.code:.0%} of the rescored passages are code: meaning counts more.")
    parts += [
        _candidate(n, c) for n, c in enumerate(result.candidates[:_LISTED_CANDIDATES], start=1)
    ]
    if (more := len(result.candidates) - _LISTED_CANDIDATES) > 0:
        parts.append(f"… and {more} lower candidates.")
    if result.notice:
        parts.append(result.notice)
    return "\n".join(parts)


def _candidate(number: int, candidate: Candidate) -> str:
    ranks = ", ".join(
        f"{name} {_rank_and_score(ranked)}"
        for name, ranked in (
            ("dense", candidate.dense),
            ("lexical", candidate.lexical),
            ("fused", candidate.fused),
            ("rescored", candidate.rescored),
            ("reranked", candidate.reranked),
        )
        if ranked or name != "reranked"
    )
    where = f"{location(candidate.passage)} (chunk {candidate.passage.chunk_id})"
    raised = f"; raised: {candidate.raised}" if candidate.raised else ""
    lower = "; only headings have the words" if candidate.inherits else ""
    return f"{number}. {where}: {candidate.verdict} ({ranks}{raised}{lower})"


def _rank_and_score(ranked: RankedScore | None) -> str:
    return f"#{ranked.rank} {ranked.score:.2f}" if ranked else "-"
