"""One LSP connection, from its first byte to its last."""

import asyncio
import logging
from typing import Any, cast

import cattrs
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from allma_server._internal.tasks import background_tasks
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.faults import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    Fault,
    Message,
    unexpected,
)
from allma_server.protocols.framing import Frames, Malformed, Messages
from allma_server.protocols.lsp.connection import Editor
from allma_server.protocols.lsp.unsaved_buffers import UnsavedBuffers
from allma_server.protocols.lsp.workspace_sync import WorkspaceSync
from allma_server.protocols.stdio import Writer

_NOT_INITIALIZED = -32002
_ANSWERS: dict[str, object] = {method: kinds[1] for method, kinds in types.METHOD_TO_TYPES.items()}
_REQUESTS = {method for method, answer in _ANSWERS.items() if answer is not None}
_NOTIFICATIONS = _ANSWERS.keys() - _REQUESTS

_log = logging.getLogger(__name__)


async def serve_lsp(
    engine: EngineProvider,
    reader: asyncio.StreamReader,
    writer: Writer,
    client: ClientContext,
) -> int:
    """Serve one client until `exit`, the end of its input or of its process.

    The engine is opened by the client's first request, or when its folders are indexed.

    Returns:
        The exit status that LSP asks for: 0 after `shutdown`, else 1.
    """
    async with background_tasks() as background:
        editor = Editor(engine, writer, client, background)
        sync = WorkspaceSync(editor, background)
        background.create_task(_read(editor, reader, sync.unsaved))
        try:
            await editor.ended.wait()
        finally:
            sync.close()
            await editor.stop()
            await _drained(writer)
    return editor.exit_code


async def _read(editor: Editor, reader: asyncio.StreamReader, unsaved: UnsavedBuffers) -> None:
    lifecycle = _Lifecycle(editor, unsaved)
    messages = Messages(reader, Frames())
    while not editor.ended.is_set() and (message := await messages.next()) is not None:
        refused = message if isinstance(message, Malformed) else lifecycle.handle(message)
        if refused is not None:
            editor.answer_malformed(refused)
            await editor.drain()
    editor.ended.set()


class _Lifecycle:
    """Handles the messages that LSP allows in the current state, and refuses the others."""

    def __init__(self, editor: Editor, unsaved: UnsavedBuffers) -> None:
        self._editor = editor
        self._unsaved = unsaved
        self._initialized = False

    def handle(self, data: Message) -> Malformed | None:
        """Handle a message; return the error that answers it if it cannot be handled."""
        method, id = data.get("method"), data.get("id")
        refusal = self._refusal(method, id) if isinstance(method, str) else None
        if refusal is not None:
            if id is None:
                _log.info("ignored %s: %s", method, refusal.message)
                return None
            return Malformed(refusal, (id,))
        if method == types.INITIALIZE:
            self._initialized = True
        if method == types.SHUTDOWN:
            self._editor.shutting_down = True
        protocol = self._editor.server.protocol
        try:
            message: Any = protocol.structure_message(dict(data))
        except JsonRpcException as exc:
            if id is None or method is None:
                _log.warning("cannot read %s: %s", method or "a response", _why(exc))
                if method == types.TEXT_DOCUMENT_DID_CHANGE and (uri := _uri_of(data)):
                    self._unsaved.lose(uri)
                return None
            return Malformed(Fault(INVALID_PARAMS, f"{method}: {_why(exc)}."), (id,))
        try:
            protocol.handle_message(message)
        except Exception:
            # For example a response to a request that has timed out; the connection stays open.
            _log.exception("cannot handle %s", method or "a response")
            if id is not None and method is not None:
                return Malformed(unexpected(), (id,))
        return None

    def _refusal(self, method: str, id: Any) -> Fault | None:
        if method in _REQUESTS and id is None:
            return Fault(INVALID_REQUEST, f"{method} is a request and needs an id.")
        if method in _NOTIFICATIONS and id is not None:
            return Fault(INVALID_REQUEST, f"{method} is a notification and has no id.")
        if method == types.EXIT:
            return None
        if self._editor.shutting_down:
            return Fault(INVALID_REQUEST, "The server is shutting down.")
        if method == types.INITIALIZE and self._initialized:
            return Fault(INVALID_REQUEST, "The server is already initialized.")
        if method != types.INITIALIZE and not self._initialized:
            return Fault(_NOT_INITIALIZED, "The first request must be initialize.")
        return None


def _uri_of(data: Message) -> str | None:
    """Return the document that a message names, which may be malformed."""
    try:
        uri: Any = cast(Any, data)["params"]["textDocument"]["uri"]
    except (KeyError, TypeError):
        return None
    return uri if isinstance(uri, str) else None


def _why(exc: JsonRpcException) -> str:
    cause = exc.__cause__
    if isinstance(cause, cattrs.BaseValidationError):
        return "; ".join(cattrs.transform_error(cause)[:3])
    return str(cause or exc)


async def _drained(writer: Writer, seconds: float = 2.0) -> None:
    try:
        async with asyncio.timeout(seconds):
            await writer.drain()
    except (TimeoutError, ConnectionError):
        return
