"""pygls, with what it lacks for a server that shares its process with others.

Here cancelling reaches a command, `exit` ends a connection instead of the process, parameters of
our own requests stay as they came, and a traceback never leaves.
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
from allma_server.errors import AllmaError, InvalidArgument, as_dict
from allma_server.protocols.framing import INVALID_PARAMS
from allma_server.protocols.lsp.buffers import buffers_of
from allma_server.protocols.lsp.lenient import without_unknown_values

INTERNAL_ERROR = -32603
INTERNAL = "Unexpected error. Please report it with Allma's log."
REQUEST_CANCELLED = -32800
REQUEST_FAILED = -32803
"""The code of every foreseen failure but a wrong argument; `data` has Allma's own."""

_log = logging.getLogger(__name__)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of pygls' log tells of more than a client's mistake or a foreseen failure."""
    failure = record.exc_info[1] if record.exc_info else None
    foreseen = isinstance(failure, JsonRpcException) and failure.code != INTERNAL_ERROR
    return not foreseen and not record.getMessage().startswith("Unable to deserialize")


logging.getLogger("pygls.protocol.json_rpc").addFilter(_is_news)


# How a type is read and written is worked out at its first use, which takes milliseconds each:
# all connections share it.
_converter = cache(default_converter)


class Protocol(LanguageServerProtocol):
    """The protocol of one connection."""

    _server: "Server"  # pyright: ignore[reportIncompatibleVariableOverride]

    def structure_message(self, data: dict[str, Any]) -> Any:
        # Without a type pygls makes attribute objects of the parameters, and renames keys.
        method = data.get("method")
        if method is None:
            return super().structure_message(data)
        if self.get_message_type(method) is not None:
            return self._structured(data)
        if "id" in data:
            return JsonRPCRequestMessage(data["id"], method, "2.0", data.get("params"))
        return JsonRPCNotification(method, "2.0", data.get("params"))

    def _structured(self, data: dict[str, Any]) -> Any:
        declares = data["method"] == types.INITIALIZE or "id" not in data
        while True:
            try:
                return super().structure_message(data)
            except JsonRpcException as exc:
                known = without_unknown_values(data, exc.__cause__, enums_only=not declares)
                if known == data:
                    raise
                data = known

    def _send_response(
        self, msg_id: str | int, result: Any = None, error: types.ResponseError | None = None
    ) -> None:
        if error is not None and error.code == INTERNAL_ERROR:
            # pygls has logged the traceback; it would also send it.
            error = types.ResponseError(INTERNAL_ERROR, INTERNAL)
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
        return result

    @lsp_method(types.WORKSPACE_EXECUTE_COMMAND)
    async def lsp_workspace__execute_command(self, params: types.ExecuteCommandParams) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        # pygls runs commands as a generator, where cancelling stops the answer but not the work.
        return await self._server.execute(params)

    @lsp_method(types.SHUTDOWN)
    async def lsp_shutdown(self, *args: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        await self._server.on_shutdown()

    @lsp_method(types.EXIT)
    def lsp_exit(self, *args: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._server.on_exit()


class Server(LanguageServer):
    """The server object of one connection; what it is made with is its owner's."""

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
        """Has a message answered; by a coroutine function where that takes a while."""

        # pygls marks the functions it is given, and a bound method cannot be marked.
        def answer(params: Any) -> Any:
            return handle(params)

        async def answer_later(params: Any) -> Any:
            return await handle(params)

        answers = answer_later if inspect.iscoroutinefunction(handle) else answer
        self.feature(method, options)(answers)

    def report_server_error(self, error: Exception, source: Any) -> None:
        # pygls would pop up a window in the editor.
        _log.info("%s: %s", getattr(source, "__name__", source), error)


def as_response(error: AllmaError) -> JsonRpcException:
    """A foreseen failure as the JSON-RPC error that carries it."""
    code = INVALID_PARAMS if isinstance(error, InvalidArgument) else REQUEST_FAILED
    data = {to_camel(key): value for key, value in as_dict(error).items()}
    return JsonRpcException(str(error), code, data)


def cancelled(conversation_id: str) -> JsonRpcException:
    """The answer to a question that was stopped; its conversation keeps what had come."""
    data = {"conversationId": conversation_id}
    return JsonRpcException("The answer was stopped.", REQUEST_CANCELLED, data)
