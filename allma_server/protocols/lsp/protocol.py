"""pygls, adapted to a process that serves many connections.

Cancellation reaches commands, `exit` ends a connection instead of the process, the parameters of
Allma's own requests stay unchanged, and no traceback is sent.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Generator
from functools import cache
from typing import Any

from lsprotocol import types
from pydantic.alias_generators import to_camel
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.protocol import (
    JsonRPCNotification,
    JsonRPCRequestMessage,
    LanguageServerProtocol,
    default_converter,
    lsp_method,
)

from allma_server import __version__
from allma_server.protocols.faults import INTERNAL_ERROR, Fault, fault_of, unexpected
from allma_server.protocols.lsp.buffers import buffers_of
from allma_server.protocols.lsp.lenient import without_unknown_values

REQUEST_CANCELLED = -32800
REQUEST_FAILED = -32803
"""LSP's code for a valid request that failed; `data` has Allma's own code."""

_log = logging.getLogger(__name__)


def _is_bug(record: logging.LogRecord) -> bool:
    """Return whether a log record of pygls reports a bug, and no expected error."""
    failure = record.exc_info[1] if record.exc_info else None
    expected = isinstance(failure, JsonRpcException) and failure.code != INTERNAL_ERROR
    return not expected and not record.getMessage().startswith("Unable to deserialize")


logging.getLogger("pygls.protocol.json_rpc").addFilter(_is_bug)


# Shared by all connections: building the converter of a type takes milliseconds.
_converter = cache(default_converter)


class Protocol(LanguageServerProtocol):
    """The protocol of one connection."""

    _server: "Server"  # pyright: ignore[reportIncompatibleVariableOverride]

    def structure_message(self, data: dict[str, Any]) -> Any:
        # Without a type, pygls would turn the parameters into objects and rename their keys.
        method = data.get("method")
        if method is None:
            return super().structure_message(data)
        if self.get_message_type(method) is not None:
            return self._structured(data)
        if "id" in data:
            return JsonRPCRequestMessage(data["id"], method, "2.0", data.get("params"))
        return JsonRPCNotification(method, "2.0", data.get("params"))

    def _structured(self, data: dict[str, Any]) -> Any:
        # An edit without its invalid range would replace the whole text.
        is_edit = data["method"] == types.TEXT_DOCUMENT_DID_CHANGE
        declares = data["method"] == types.INITIALIZE or ("id" not in data and not is_edit)
        while True:
            try:
                return super().structure_message(data)
            except JsonRpcException as exc:
                known = without_unknown_values(data, exc.__cause__, enums_only=not declares)
                if known == data:
                    raise
                data = known

    def _execute_handler(self, msg_id: str | int, *args: Any, **kwargs: Any) -> None:
        super()._execute_handler(msg_id, *args, **kwargs)
        if (future := self._request_futures.get(msg_id)) is not None:
            # pygls forgets those of requests only, and an editor sends an edit for each key.
            future.add_done_callback(lambda done: self._forget(msg_id, done))

    def _forget(self, msg_id: str | int, future: Any) -> None:
        if self._request_futures.get(msg_id) is future:
            del self._request_futures[msg_id]

    def _send_response(
        self, msg_id: str | int, result: Any = None, error: types.ResponseError | None = None
    ) -> None:
        if error is not None and error.code == INTERNAL_ERROR:
            # pygls has logged the traceback, and would also send it.
            error = response_of(unexpected()).to_response_error()
        super()._send_response(msg_id, result, error)

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(
        self, params: types.InitializeParams
    ) -> Generator[Any, Any, types.InitializeResult]:
        result = yield from super().lsp_initialize(params)
        self._workspace = buffers_of(self.workspace)
        result.capabilities.execute_command_provider = types.ExecuteCommandOptions(
            commands=self._server.command_names, work_done_progress=True
        )
        if result.capabilities.workspace is not None:
            result.capabilities.workspace.text_document_content = types.TextDocumentContentOptions(
                schemes=["allma"]
            )
        _leave_out_unsupported(result.capabilities, params.capabilities)
        return result

    @lsp_method(types.WORKSPACE_EXECUTE_COMMAND)
    async def lsp_workspace__execute_command(self, params: types.ExecuteCommandParams) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        # pygls runs commands as generators: cancelling them stops the response, not the work.
        return await self._server.execute(params)

    @lsp_method(types.SHUTDOWN)
    async def lsp_shutdown(self, *args: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        await self._server.on_shutdown()

    @lsp_method(types.EXIT)
    def lsp_exit(self, *args: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._server.on_exit()


def _leave_out_unsupported(
    offered: types.ServerCapabilities, client: types.ClientCapabilities
) -> None:
    """Offer no search to a client without symbols, and no links and hovers where it has none.

    A client would otherwise ask for a hover at each rest of the pointer, in every file.
    """
    workspace, document = client.workspace, client.text_document
    shows_texts = workspace is not None and workspace.text_document_content is not None
    if workspace is None or workspace.symbol is None:
        offered.workspace_symbol_provider = None
    if document is None or document.hover is None or not shows_texts:
        offered.hover_provider = None
    if document is None or document.document_link is None or not shows_texts:
        offered.document_link_provider = None


class Server(LanguageServer):
    """The server object of one connection, with the callbacks of its owner."""

    def __init__(
        self,
        command_names: list[str],
        execute: Callable[[types.ExecuteCommandParams], Awaitable[Any]],
        on_shutdown: Callable[[], Awaitable[None]],
        on_exit: Callable[[], None],
    ) -> None:
        self.command_names = command_names
        self.execute = execute
        self.on_shutdown = on_shutdown
        self.on_exit = on_exit
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            "allma", __version__, protocol_cls=Protocol, converter_factory=_converter
        )

    def on(self, method: str, handle: Callable[[Any], Any], options: Any = None) -> None:
        """Register the handler of a method, a function or a coroutine function."""

        # pygls sets attributes on its handlers, which bound methods do not allow.
        def handler(params: Any) -> Any:
            return handle(params)

        async def async_handler(params: Any) -> Any:
            return await handle(params)

        chosen = async_handler if inspect.iscoroutinefunction(handle) else handler
        self.feature(method, options)(chosen)

    def report_server_error(self, error: Exception, source: Any) -> None:
        # pygls would show a message box in the editor.
        _log.info("%s: %s", getattr(source, "__name__", source), error)


def as_response(exc: Exception) -> JsonRpcException:
    """Return the JSON-RPC error that reports an exception."""
    return response_of(fault_of(exc, _log, failed=REQUEST_FAILED))


def response_of(fault: Fault) -> JsonRpcException:
    """Return a fault as pygls raises it, its data with the keys of LSP."""
    data = {to_camel(key): value for key, value in (fault.data or {}).items()}
    return JsonRpcException(fault.message, fault.code, data)


def cancelled(conversation_id: str) -> JsonRpcException:
    """Return the error for an answer that was stopped; its conversation keeps the text so far."""
    data = {"conversationId": conversation_id}
    return JsonRpcException("The answer was stopped.", REQUEST_CANCELLED, data)
