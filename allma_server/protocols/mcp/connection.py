"""Per-connection state of MCP: workspace folders, search scope, error mapping."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from allma_server._internal.paths import absolute, is_inside, real
from allma_server.engine import Engine
from allma_server.errors import NotFound
from allma_server.operations import Call, NullProgress
from allma_server.ports import Progress
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.faults import INTERNAL_ERROR, INVALID_PARAMS, fault_of
from allma_server.protocols.folders import Folders, bases, file_path

Context = ServerRequestContext[Any]

JOB_SECONDS = 25.0
"""After this long an indexing call returns its job."""

_NOT_FOUND = -32002
"""A resource that does not exist, until 2025-11-25; later revisions say invalid params."""

_log = logging.getLogger(__name__)

_Self = TypeVar("_Self")
_Params = TypeVar("_Params")
_Result = TypeVar("_Result")


class Connection:
    """One connected client."""

    def __init__(
        self, engine: EngineProvider, background: asyncio.TaskGroup, client: ClientContext
    ) -> None:
        self.engine = engine
        self._background = background
        self._tasks: set[asyncio.Task[None]] = set()
        self.principal = client.principal
        self.folders = Folders(client.workspaces)
        self._client = client
        self._hints = [absolute(client.project_folder)] if client.project_folder else []
        self._started = False

    async def call(
        self, context: Context, *, progress: Progress | None = None, settle: float = 0.0
    ) -> Call:
        """Make the context of an operation; the first one starts the background work.

        `settle`: seconds to wait while the client's own folders are being indexed.

        Raises:
            StorageError, InvalidArgument: the engine cannot be opened.
        """
        engine = await self.engine()
        if not self._started:
            self._started = True
            # The engine owns it: some clients leave after every call, and it would never finish.
            engine.tasks.create_task(self.folders.index(Call(engine, self.principal)))
            await asyncio.sleep(0)  # so that `settled` already sees it running
            if context.session.can_send_request:
                self.start(self._request_roots(context.session))
        await self.folders.settled(settle)
        return Call(
            engine,
            self.principal,
            progress or NullProgress(),
            await self._scope(engine),
            JOB_SECONDS,
            bases(*self.folders.paths, *self._hints, self._client.cwd),
            self._client.defaults,
        )

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work of the session in the background, until it ends or the session is closed."""
        task = self._background.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel the session's background work."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _scope(self, engine: Engine) -> tuple[str, ...]:
        """Return the client's folders, else its indexed project folder or roots, else all."""
        if searched := self.folders.searched:
            return searched
        catalog = engine.seen_by(self.principal).catalog
        indexed = [workspace.path for workspace in await catalog.workspaces()]
        hints = [await real(hint) for hint in self._hints]
        return tuple(h for h in hints if any(is_inside(h, path) for path in indexed))

    async def _request_roots(self, session: ServerSession) -> None:
        declared = session.client_capabilities
        if declared is None or declared.roots is None:
            return
        try:
            found = await session.send_request(
                types.ListRootsRequest(), types.ListRootsResult, request_read_timeout_seconds=5
            )
        except (MCPError, ValidationError) as exc:
            _log.info("the client did not list its roots: %s", exc)
            return
        self._hints = [path for root in found.roots if (path := file_path(str(root.uri)))]


def with_faults(
    method: Callable[[_Self, Context, _Params], Awaitable[_Result]],
) -> Callable[[_Self, Context, _Params], Awaitable[_Result]]:
    """Decorate a request handler: its exceptions become JSON-RPC errors."""

    async def handle(self: _Self, context: Context, params: _Params) -> _Result:
        try:
            return await method(self, context, params)
        except MCPError:
            raise
        except Exception as exc:
            fault = fault_of(exc, _log, failed=_code(exc, context))
            raise MCPError(fault.code, fault.message, fault.data) from None

    return handle


def _code(exc: Exception, context: Context) -> int:
    if not isinstance(exc, NotFound):
        return INTERNAL_ERROR
    resource = context.method == "resources/read" and context.protocol_version < "2026"
    return _NOT_FOUND if resource else INVALID_PARAMS
