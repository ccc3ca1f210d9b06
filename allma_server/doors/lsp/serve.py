"""One client of the LSP door, from its first byte to its last."""

import asyncio
import logging
from typing import Any

import cattrs
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from allma_server.doors.frames import INVALID_PARAMS, INVALID_REQUEST, Malformed, parse, read_frame
from allma_server.doors.lsp.editor import Editor
from allma_server.doors.lsp.follow import Following
from allma_server.doors.source import EngineSource
from allma_server.doors.streams import Writer
from allma_server.tasks import background_tasks

_NOT_INITIALIZED = -32002

_log = logging.getLogger(__name__)


async def serve_lsp(engine: EngineSource, reader: asyncio.StreamReader, writer: Writer) -> int:
    """Serves one client until `exit`, the end of its input or of its process; its exit status.

    The engine, shared by all connections, is asked for when the client has stayed a moment, or
    asks for something itself.
    """
    async with background_tasks() as background:
        editor = Editor(engine, writer)
        following = Following(editor, background)
        background.create_task(_read(editor, reader))
        try:
            await editor.ended.wait()
        finally:
            following.leave()
            await editor.stop()
            await _drained(writer)
    return editor.exit_code


async def _read(editor: Editor, reader: asyncio.StreamReader) -> None:
    gate = _Gate(editor)
    while not editor.ended.is_set():
        body = await read_frame(reader)
        if body is None:
            break
        message = body if isinstance(body, Malformed) else parse(body)
        if not isinstance(message, Malformed):
            message = gate.take(message)
        if message is not None:
            editor.answer_malformed(message)
            if message.final:
                break
    editor.ended.set()


class _Gate:
    """Lets messages through in the order of the protocol's life; the others are answered."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        self._initialized = False

    def take(self, data: dict[str, Any]) -> Malformed | None:
        """Hands a message on; what answers it instead, if anything must."""
        method, id = data.get("method"), data.get("id")
        refusal = self._refusal(method) if isinstance(method, str) else None
        if refusal is not None:
            return Malformed(*refusal, id) if id is not None else None
        if method == types.INITIALIZE:
            self._initialized = True
        if method == types.SHUTDOWN:
            self._editor.leaving = True
        protocol = self._editor.server.protocol
        try:
            message: Any = protocol.structure_message(data)
        except JsonRpcException as exc:
            if id is None or method is None:
                _log.warning("%s could not be read: %s", method or "a response", _why(exc))
                return None
            return Malformed(INVALID_PARAMS, f"{method}: {_why(exc)}.", id)
        protocol.handle_message(message)
        return None

    def _refusal(self, method: str) -> tuple[int, str] | None:
        if method == types.EXIT:
            return None
        if self._editor.leaving:
            return INVALID_REQUEST, "The server is shutting down."
        if method == types.INITIALIZE and self._initialized:
            return INVALID_REQUEST, "The server is initialized already."
        if method != types.INITIALIZE and not self._initialized:
            return _NOT_INITIALIZED, "The first request is initialize."
        return None


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
