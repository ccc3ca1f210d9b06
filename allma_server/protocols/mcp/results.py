"""Results of tools: text for a model, data for a program, both bounded."""

from dataclasses import replace
from typing import Any

import mcp_types as types

from allma_server._internal.path_text import readable
from allma_server.operations import Operation, jsonable
from allma_server.operations.text import as_text
from allma_server.protocols.deadline import ProgressRelay
from allma_server.protocols.faults import Fault
from allma_server.types import Answer, Candidate, Excerpt, Explanation, Passage, SearchResult

LARGEST_EXCERPT = 16_000
"""Characters of a document in one result: about four thousand tokens."""

EXPLAINED = 20
"""Candidates of an explained search in one result."""

SNIPPET = 200
"""Characters of the text of each such candidate."""


def succeeded(result: Any, *, links: bool) -> types.CallToolResult:
    """Return the result of an operation as text and as data.

    Each is complete, because some clients pass only the text to their model, others only the data.

    `links`: add a resource link for each document found.
    """
    result = _bounded(result)
    blocks: list[types.ContentBlock] = [types.TextContent(text=as_text(result))]
    if links:
        blocks += _links(result)
    return types.CallToolResult(content=blocks, structured_content=jsonable(result))


def _links(result: Any) -> list[types.ResourceLink]:
    passages: list[Passage] = []
    match result:
        case SearchResult():
            passages = result.passages
        case Answer(citations=citations):
            passages = [c.passage for c in citations if c.cited]
        case _:
            pass
    return [
        types.ResourceLink(name=path, uri=uri)
        for uri, path in {_resource(p): readable(p.path) for p in passages}.items()
    ]


def _resource(passage: Passage) -> str:
    if passage.shared is not None:
        return passage.uri.partition("#")[0]
    return f"allma://document/{passage.document_id}"


def failed(fault: Fault) -> types.CallToolResult:
    """Return a failure: the sentence for a model, the Error object for a program."""
    return types.CallToolResult(
        content=[types.TextContent(text=fault.message)],
        structured_content=dict(fault.data or {}),
        is_error=True,
    )


def unfinished(operation: Operation, relay: ProgressRelay) -> types.CallToolResult:
    """Return the partial result of a call that continues, and how to get the rest."""
    data: dict[str, object] = {"state": "running"}
    if (id := relay.conversation_id) is not None:
        note = (
            "The answer is still being written. In a minute, call conversations with action "
            f'"show" and id "{id}" to read all of it.'
        )
        data |= {"text": relay.written, "conversation_id": id}
    else:
        how_far = relay.message or "working"
        note = f"{operation.name} continues in the background ({how_far}); check in a minute."
    text = f"{relay.written} …\n\n{note}" if relay.written else note
    return types.CallToolResult(
        content=[types.TextContent(text=text)], structured_content=data | {"notice": note}
    )


def with_note(
    result: types.CallToolResult | types.InputRequiredResult, note: str | None
) -> types.CallToolResult | types.InputRequiredResult:
    """Return the result with a note on how the arguments were read."""
    if note is None or not isinstance(result, types.CallToolResult):
        return result
    return result.model_copy(update={"content": [*result.content, types.TextContent(text=note)]})


def _bounded(result: Any) -> Any:
    """Return the result, cut where it would fill a model's context; the rest can be requested."""
    match result:
        case Excerpt(text=text) if len(text) > LARGEST_EXCERPT:
            lines = text[:LARGEST_EXCERPT].split("\n")
            # Whole lines, unless the first one alone is longer.
            kept = lines[:-1] or lines
            last = result.start_line + len(kept) - 1
            return replace(result, text="\n".join(kept), end_line=last)
        case Explanation(candidates=candidates):
            more = len(candidates) - EXPLAINED
            note = f"{more} lower candidates are left out." if more > 0 else None
            return replace(
                result,
                candidates=[_shortened(candidate) for candidate in candidates[:EXPLAINED]],
                notice=" ".join(filter(None, (result.notice, note))) or None,
            )
        case _:
            return result


def _shortened(candidate: Candidate) -> Candidate:
    text = candidate.passage.text
    if len(text) <= SNIPPET:
        return candidate
    return replace(candidate, passage=replace(candidate.passage, text=f"{text[:SNIPPET]} …"))
