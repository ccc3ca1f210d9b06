"""Which documents a question is put to."""

import os

from allma_server.model import SearchResult
from allma_server.operations.call import Call
from allma_server.retrieve.search import Scope, find_passages


def scope_of(call: Call, workspace: str | None, path: str | None) -> Scope:
    """The named workspace, else the client's own folders, else everything; `all` is everything."""
    if workspace == "all":
        return Scope((), path)
    if workspace:
        return Scope((os.path.abspath(os.path.expanduser(workspace)),), path)
    return Scope(call.workspaces, path)


async def find(call: Call, query: str, top_k: int | None, scope: Scope) -> SearchResult:
    """The passages of the engine's index that best match."""
    engine = call.engine
    return await find_passages(
        query,
        top_k or engine.config.top_k,
        scope,
        shelf=engine.catalog,
        lexicon=engine.catalog,
        vectors=engine.vectors,
        embedder=engine.embedder.serving,
    )
