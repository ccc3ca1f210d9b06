"""Show the result of a code action in an editor that has no view for it."""

import os
from typing import TYPE_CHECKING, Any

from lsprotocol import types

from allma_server.operations.text import as_text, location
from allma_server.protocols.lsp.places import place_of
from allma_server.types import Answer, Passage, SearchResult

if TYPE_CHECKING:
    from allma_server.protocols.lsp.connection import Editor

_CHOICE_SECONDS = 600.0
"""Seconds that a user has to choose a passage."""


async def show_result(editor: "Editor", result: Any) -> None:
    """Show an answer as a document and passages as a choice, where the editor can; else as text."""
    if editor.shows_documents:
        if isinstance(result, SearchResult):
            # What others share has no file to open.
            here = [passage for passage in result.passages if passage.shared is None]
            if here and await _choose(editor, here):
                return
        elif isinstance(result, Answer) and result.message_id and editor.opens_allma_documents:
            if await _open(editor, types.Location(f"allma://answer/{result.message_id}.md", _TOP)):
                return
    message = types.ShowMessageParams(types.MessageType.Info, as_text(result))
    editor.server.window_show_message(message)


async def _choose(editor: "Editor", passages: list[Passage]) -> bool:
    """Let the user choose a passage, and open it; return False if the editor cannot ask."""
    titles = {f"{n}. {_title(passage)}": passage for n, passage in enumerate(passages, start=1)}
    actions = [types.MessageActionItem(title) for title in titles]
    params = types.ShowMessageRequestParams(types.MessageType.Info, "Related passages:", actions)
    chosen = await editor.request(
        types.WINDOW_SHOW_MESSAGE_REQUEST, params, seconds=_CHOICE_SECONDS
    )
    if chosen is False:
        return False
    if chosen is not None and (passage := titles.get(chosen.title)) is not None:
        opens_texts = editor.opens_allma_documents
        await _open(editor, place_of(passage, passage.start_line, opens_texts=opens_texts))
    return True


def _title(passage: Passage) -> str:
    where = location(passage)
    return where.removeprefix(passage.workspace + os.sep)


async def _open(editor: "Editor", place: types.Location) -> bool:
    params = types.ShowDocumentParams(place.uri, take_focus=True, selection=place.range)
    done = await editor.request(types.WINDOW_SHOW_DOCUMENT, params)
    return bool(done and done.success)


_TOP = types.Range(types.Position(0, 0), types.Position(0, 0))
