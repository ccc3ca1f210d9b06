"""Hand the texts of open documents to the engine while they are changed and not saved."""

import asyncio
import logging
import time

from lsprotocol import types

from allma_server.errors import AllmaError
from allma_server.indexing.unsaved import UnsavedTexts
from allma_server.operations import BY_NAME
from allma_server.protocols.folders import file_path
from allma_server.protocols.lsp.buffers import Buffer, Buffers
from allma_server.protocols.lsp.connection import Editor

DELAY_SECONDS = 0.3
"""Seconds from an edit until it is searched; all edits in between count as one."""

_log = logging.getLogger(__name__)


class UnsavedBuffers:
    """Follows the edits of one editor. `background` ends with the connection."""

    def __init__(self, editor: Editor, background: asyncio.TaskGroup) -> None:
        self._editor = editor
        self._background = background
        self._engines: UnsavedTexts | None = None
        self._dirty: dict[str, object] = {}  # a new object for each time that a document begins
        self._following: set[str] = set()
        self._is_closed = False
        self._reported: set[str] = set()
        on = editor.server.on
        on(types.TEXT_DOCUMENT_DID_OPEN, lambda params: self.changed(params.text_document.uri))
        on(types.TEXT_DOCUMENT_DID_CHANGE, lambda params: self.changed(params.text_document.uri))
        on(types.TEXT_DOCUMENT_DID_CLOSE, lambda params: self.drop(params.text_document.uri))

    def changed(self, uri: str) -> None:
        """Take over the text of a document soon."""
        if file_path(uri) is None or self._is_closed:
            return
        self._dirty[uri] = object()
        if uri not in self._following:
            self._following.add(uri)
            self._background.create_task(self._follow(uri))

    def lose(self, uri: str) -> None:
        """Note that an edit of a document could not be read: its text is not known."""
        self._buffers.lose(uri)
        self.changed(uri)

    def drop(self, uri: str) -> None:
        """Forget the text of a document that was saved or closed."""
        self._dirty.pop(uri, None)
        path = file_path(uri)
        if path is not None and self._engines is not None:
            self._engines.close(self._editor, path)

    def close(self) -> None:
        """Forget all texts; the connection has ended."""
        self._is_closed = True
        self._dirty.clear()  # an edit that waits for its turn would come after this
        if self._engines is not None:
            self._engines.close(self._editor)

    @property
    def _buffers(self) -> Buffers:
        workspace = self._editor.server.workspace
        assert isinstance(workspace, Buffers)
        return workspace

    async def _follow(self, uri: str) -> None:
        """Take over a text at most every DELAY_SECONDS, and less often if it takes longer."""
        pause = DELAY_SECONDS
        try:
            while uri in self._dirty:
                await asyncio.sleep(pause)
                began = time.monotonic()
                await self._take_over(uri)
                pause = max(DELAY_SECONDS, time.monotonic() - began)
        finally:
            self._following.discard(uri)

    async def _take_over(self, uri: str) -> None:
        edit, path = self._dirty.get(uri), file_path(uri)
        try:
            BY_NAME["sync"].authorize(self._editor.client.principal)
            self._engines = (await self._editor.engine()).ingestion.unsaved
        except AllmaError as exc:
            _log.info("unsaved texts are not searched: %s", exc)
            self._dirty.pop(uri, None)
            return
        if edit is None or path is None or self._dirty.get(uri) is not edit:
            return  # saved, closed or changed meanwhile
        del self._dirty[uri]
        buffer = self._buffers.find(uri)
        if not isinstance(buffer, Buffer) or not buffer.is_known:
            self._engines.close(self._editor, path)
            self._report(uri, path, "An edit of it came out of order. Save it, or open it again.")
            return
        user = self._editor.client.principal.user
        try:
            why = await self._engines.change(self._editor, user, path, buffer.source)
        except AllmaError as exc:
            why = str(exc)
        except Exception:
            _log.exception("cannot take over an unsaved text")  # the connection goes on
            why = "Unexpected error; the log has more."
        if why is not None:
            self._report(uri, path, why)

    def _report(self, uri: str, path: str, why: str) -> None:
        """Tell the editor once why the text of a document is not searched."""
        if uri not in self._reported:
            self._reported.add(uri)
            message = f"The unsaved text of {path} is not searched. {why}"
            self._editor.log(message, types.MessageType.Info)
