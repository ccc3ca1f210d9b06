"""One editor: its running calls, their cancellation, and messages to it."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, cast
from uuid import uuid4

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from allma_server.errors import InvalidArgument
from allma_server.operations import OPERATIONS, Call, NullProgress, Operation, jsonable
from allma_server.ports import Progress
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.folders import Folders, bases
from allma_server.protocols.framing import Frames, Malformed
from allma_server.protocols.lsp.progress import EditorProgress, Token
from allma_server.protocols.lsp.protocol import Server, as_response, cancelled
from allma_server.protocols.lsp.showing import show_result
from allma_server.protocols.settings import ClientSettings
from allma_server.protocols.stdio import Writer
from allma_server.protocols.uris import content

_ANSWER_SECONDS = 5.0
"""Seconds that a client has to answer a request of the server."""

_log = logging.getLogger(__name__)

_Work = Callable[[dict[str, object]], Awaitable[Any]]


class Editor:
    """The client of one connection. Closing it cancels its calls; `background` ends with it."""

    def __init__(
        self,
        engine: EngineProvider,
        writer: Writer,
        client: ClientContext,
        background: asyncio.TaskGroup,
    ) -> None:
        self.engine = engine
        self.client = client
        self._background = background
        self.settings = ClientSettings()
        self.folders = Folders()
        self.ended = asyncio.Event()
        self.shutting_down = False
        self.exit_code = 0
        self._writer = writer
        self._calls: set[asyncio.Task[Any]] = set()
        self._by_token: dict[Token, asyncio.Task[Any]] = {}
        self._commands: dict[str, _Work] = {
            f"allma.{operation.name}": self._work(operation) for operation in OPERATIONS
        }
        self._commands["allma.cancel"] = self._cancel
        self.server = Server(list(self._commands), self._execute, self.stop, self._exit)
        self.server.protocol.set_writer(cast(Any, writer))
        for name, work in (self._commands | {"allma.content": self.content}).items():
            handler = self._requested(work)
            topic = name.removeprefix("allma.")
            for spelling in {topic, topic.replace(".", "/")}:
                self.server.on(f"allma/{spelling}", handler)

    # --- requests ---------------------------------------------------------------------------

    async def _execute(self, params: types.ExecuteCommandParams) -> Any:
        """Run a command, whose argument is one JSON object or none."""
        work = self._commands.get(params.command)
        if work is None:
            known = ", ".join(self._commands)
            raise as_response(
                InvalidArgument(f"There is no command {params.command!r}.", f"Known: {known}.")
            )
        given = list(params.arguments or [])
        if len(given) > 1:
            raise as_response(InvalidArgument(f"{params.command} takes one JSON object."))
        arguments = _object(params.command, given[0] if given else None)
        if params.work_done_token is not None:
            arguments.setdefault("workDoneToken", params.work_done_token)
        if arguments.pop("show", False):
            # Editors wait seconds for a command, and a model may write for minutes.
            self._background.create_task(self._show(work, arguments))
            return None
        return jsonable(await self.answer(work, arguments), camel=True)

    async def _show(self, work: _Work, arguments: dict[str, object]) -> None:
        """Run a command of a code action, and show its result or why there is none."""
        token = str(uuid4())
        if self.shows_progress:
            params = types.WorkDoneProgressCreateParams(token)
            if await self.request(types.WINDOW_WORK_DONE_PROGRESS_CREATE, params) is not False:
                arguments["workDoneToken"] = token
        try:
            await show_result(self, await self.answer(work, arguments))
        except JsonRpcException as exc:
            params = types.ShowMessageParams(types.MessageType.Error, exc.message)
            self.server.window_show_message(params)

    def _requested(self, work: _Work) -> Callable[[Any], Awaitable[Any]]:
        async def handler(params: Any) -> Any:
            return jsonable(await self.answer(work, _object("The request", params)), camel=True)

        return handler

    async def answer(self, work: _Work, arguments: dict[str, object]) -> Any:
        """Run a call that ends with the connection; its failures become responses."""
        with self.call():
            try:
                return await work(arguments)
            except JsonRpcException:
                raise
            except Exception as exc:
                raise as_response(exc) from None

    def _work(self, operation: Operation) -> _Work:
        async def run(arguments: dict[str, object]) -> Any:
            progress = EditorProgress(
                self,
                title(operation.name),
                current_task(),
                chunks=_token(arguments, "partialResultToken"),
                bar=_token(arguments, "workDoneToken"),
                may_create=operation.writes,
            )
            try:
                call = await self.context(progress)
                result = await operation(call, arguments)
                return self.folders.with_notice(result)
            except asyncio.CancelledError:
                if progress.conversation_id is None:
                    raise
                raise cancelled(progress.conversation_id) from None
            finally:
                progress.end()

        return run

    async def context(self, progress: Progress | None = None) -> Call:
        """Make the context of an operation for this client.

        Raises:
            StorageError, InvalidArgument: the engine cannot be opened.
        """
        workspace = self.settings.workspace
        if workspace is None:
            searched = self.folders.searched if self.settings.index_workspace_folders else ()
        else:
            searched = () if workspace == "all" else (workspace,)
        return Call(
            await self.engine(),
            self.client.principal,
            progress or NullProgress(),
            searched,
            folders=bases(*self.folders.paths, self.client.cwd),
            defaults={**self.client.defaults, **self.settings.defaults},
        )

    async def _cancel(self, arguments: dict[str, object]) -> dict[str, bool]:
        token = arguments.get("token")
        if not isinstance(token, str | int) or len(arguments) != 1:
            raise InvalidArgument("cancel takes the argument 'token', a string or an integer.")
        return {"cancelled": self.cancel(token)}

    async def content(self, arguments: dict[str, object]) -> dict[str, str]:
        """Return the text behind an `allma:` URI, for clients without virtual documents."""
        uri = arguments.get("uri")
        if not isinstance(uri, str) or len(arguments) != 1:
            raise InvalidArgument("content takes the argument 'uri', a string.")
        found = await content(await self.context(), uri)
        return {"uri": uri, "text": found.text, "mediaType": found.media_type}

    # --- calls ------------------------------------------------------------------------------

    @contextmanager
    def call(self) -> Generator[None]:
        """Count the current task among the calls that end with the connection."""
        task = current_task()
        self._calls.add(task)
        try:
            yield
        finally:
            self._calls.discard(task)
            self.forget(task)

    def register(self, token: Token, task: "asyncio.Task[Any]") -> None:
        """Let `token` cancel `task`, until `forget`."""
        self._by_token[token] = task

    def forget(self, task: "asyncio.Task[Any]") -> None:
        """Remove the tokens of a task."""
        for token in [t for t, owner in self._by_token.items() if owner is task]:
            del self._by_token[token]

    def cancel(self, token: Token) -> bool:
        """Cancel the call with this token; return whether it is running."""
        task = self._by_token.get(token)
        return task.cancel() if task is not None else False

    async def stop(self) -> None:
        """Cancel all calls and wait for their end."""
        calls = [task for task in self._calls if task is not asyncio.current_task()]
        for task in calls:
            task.cancel()
        if calls:
            await asyncio.wait(calls)

    def _exit(self) -> None:
        self.exit_code = 0 if self.shutting_down else 1
        self.ended.set()

    # --- messages to the editor -------------------------------------------------------------

    @property
    def chunks_by_notification(self) -> bool:
        return self.settings.stream_notification

    @property
    def shows_progress(self) -> bool:
        window = self.server.client_capabilities.window
        return bool(window and window.work_done_progress)

    @property
    def shows_documents(self) -> bool:
        window = self.server.client_capabilities.window
        return bool(window and window.show_document and window.show_document.support)

    @property
    def opens_allma_documents(self) -> bool:
        """Whether the client asks the server for the text behind an `allma:` URI."""
        workspace = self.server.client_capabilities.workspace
        return bool(workspace and workspace.text_document_content)

    def notify(self, method: str, params: Any) -> None:
        self.server.protocol.notify(method, params)

    def answer_malformed(self, malformed: Malformed) -> None:
        """Answer bytes that are not a message."""
        for response in malformed.responses:
            self._writer.write(Frames.frame(json.dumps(response).encode()))

    def log(self, message: str, kind: types.MessageType = types.MessageType.Warning) -> None:
        """Write to the log that the editor keeps of this server."""
        self.server.window_log_message(types.LogMessageParams(kind, message))

    async def request(self, method: str, params: Any, seconds: float = _ANSWER_SECONDS) -> Any:
        """Send a request to the editor; return its result, or False if it fails or times out."""
        try:
            async with asyncio.timeout(seconds):
                return await self.server.protocol.send_request_async(method, params)
        except (TimeoutError, JsonRpcException) as exc:
            _log.info("the client did not answer %s: %s", method, exc)
            return False

    async def drain(self) -> None:
        # A closed connection needs no drain; its calls end by themselves.
        with suppress(ConnectionError):
            await self._writer.drain()


def current_task() -> "asyncio.Task[Any]":
    """Return the running task; every coroutine has one."""
    task = asyncio.current_task()
    assert task is not None
    return task


def title(name: str) -> str:
    """Return the title of a progress bar: `Allma: pull` for `models.pull`."""
    return f"Allma: {name.rpartition('.')[2]}"


def _object(what: str, value: Any) -> dict[str, object]:
    if value is None:
        return {}
    if isinstance(value, list) and len(cast(list[Any], value)) == 1:
        value = cast(list[Any], value)[0]  # positional parameters with one object
    if not isinstance(value, Mapping):
        raise as_response(InvalidArgument(f"{what} takes one JSON object."))
    return dict(cast(Mapping[str, Any], value))


def _token(arguments: dict[str, object], name: str) -> Token | None:
    token = arguments.pop(name, None)
    if token is None or (isinstance(token, str | int) and not isinstance(token, bool)):
        return token
    raise InvalidArgument(f"{name} must be a string or an integer.")
