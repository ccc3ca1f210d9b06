"""`workspace/symbol`: search while the user types, for editors without a plugin."""

import asyncio
import os
from collections.abc import Sequence

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from allma_server.operations import BY_NAME, Call
from allma_server.operations.scope import find_by_words, scope_of
from allma_server.protocols.lsp.connection import Editor, current_task
from allma_server.protocols.lsp.places import place_of
from allma_server.search.snippets import best_row, lines_of, terms_of
from allma_server.types import Passage

MAX_SYMBOLS = 30
MAX_NAME = 120
"""Characters of a line that are shown as a symbol's name."""

_CONTENT_MODIFIED = -32801
"""Editors drop such an answer without showing an error."""


class Symbols:
    """Answers `workspace/symbol` on one connection; a later request ends the one in progress."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        self._searching: asyncio.Task[object] | None = None

    async def find(
        self, params: types.WorkspaceSymbolParams
    ) -> Sequence[types.SymbolInformation] | None:
        """Return passages that have the words; nothing for an empty query."""
        if self._searching is not None:
            self._searching.cancel()
        self._searching = mine = current_task()
        try:
            return await self._editor.answer(self._found, {"query": params.query})
        except asyncio.CancelledError:
            if self._searching is mine:
                raise  # by the client, or with the connection
            raise JsonRpcException("Another search replaced this one.", _CONTENT_MODIFIED) from None
        finally:
            if self._searching is mine:
                self._searching = None

    async def _found(self, arguments: dict[str, object]) -> list[types.SymbolInformation]:
        query = str(arguments["query"]).strip()
        if not terms_of(query):
            return []
        call = await self._editor.context()
        found = await _search(call, query)
        opens_texts = self._editor.opens_allma_documents
        # What others share has no file here.
        here = [passage for passage in found if passage.shared is None]
        return [_symbol(each, query, opens_texts=opens_texts) for each in here]


async def _search(call: Call, query: str) -> list[Passage]:
    """Search by words, of which the last may be unfinished; by meaning if no text has them."""
    BY_NAME["search"].authorize(call.principal)
    scope = await scope_of(call, None, None)
    unfinished = f"{query}*" if query[-1].isalnum() else query
    if found := await find_by_words(call, unfinished, MAX_SYMBOLS, scope):
        return found
    result = await BY_NAME["search"](call, {"query": query})
    return result.passages


def _symbol(passage: Passage, query: str, *, opens_texts: bool) -> types.SymbolInformation:
    """Return the line of a passage that has most of the words, or its heading, as a symbol."""
    rows = lines_of(passage, terms_of(query))
    best = best_row(rows, passage)
    name = best.text if best is not None and best.terms else ""
    line = best.number if best is not None and best.number else passage.start_line
    if not name:
        name = passage.heading[-1] if passage.heading else (best.text if best else "")
    name = " ".join(name.split())
    inside = os.path.relpath(passage.path, passage.workspace)
    container = " › ".join([os.path.basename(passage.path) if inside == "." else inside,
                            *passage.heading])  # fmt: skip
    return types.SymbolInformation(
        name=name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…",
        kind=types.SymbolKind.String,
        container_name=container,
        location=place_of(passage, line, opens_texts=opens_texts),
    )
