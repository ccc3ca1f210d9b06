"""Who calls: its folders, where its searches look, and how its failures are told."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from allma_server._internal.paths import absolute, is_inside, real
from allma_server.engine import Engine
from allma_server.errors import AllmaError, NotFound, as_dict
from allma_server.operations import Call, NullProgress
from allma_server.ports import Progress
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineSource
from allma_server.protocols.folders import Folders, bases, file_path

Context = ServerRequestContext[Any]

JOB_SECONDS = 25.0
"""After this long an ingestion is answered with its job."""

INTERNAL = "Unexpected error. Please report it with Allma's log."

_NOT_FOUND = -32002
"""A resource that is not there, until 2025-11-25; later revisions say invalid params."""

_log = logging.getLogger(__name__)

_Self = TypeVar("_Self")
_Params = TypeVar("_Params")
_Result = TypeVar("_Result")


class Client:
    """One client. Its background work ends with its connection."""

    def __init__(
        self,
        engine: EngineSource,
        background: asyncio.TaskGroup,
        client: ClientContext,
    ) -> None:
        self._client = client
        self.principal = client.principal
        self.folders = Folders(client.workspaces)
        self.engine = engine
        self.background = background
        self._hints = [absolute(client.project_folder)] if client.project_folder else []
        self._awake = False

    async def call(
        self, context: Context, *, progress: Progress | None = None, settle: float = 0.0
    ) -> Call:
        """What an operation is called with; the first call wakes what waits in the background.

        `settle`: seconds to wait for the client's own folders, while they are being indexed.

        Raises:
            StorageError, InvalidArgument: the engine cannot be opened.
        """
        engine = await self.engine()
        if not self._awake:
            self._awake = True
            # In the engine: some clients leave after every call, and nothing would get done.
            engine.tasks.create_task(self.folders.index(Call(engine, self.principal)))
            await asyncio.sleep(0)  # so that the search which woke it knows that it runs
            if context.session.can_send_request:
                self.background.create_task(self._ask_for_roots(context.session))
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

    async def _scope(self, engine: Engine) -> tuple[str, ...]:
        """The client's own folders; else those that are hinted at and indexed; else everything."""
        if searched := self.folders.searched:
            return searched
        indexed = [workspace.path for workspace in await engine.catalog.workspaces()]
        hints = [await real(hint) for hint in self._hints]
        return tuple(h for h in hints if any(is_inside(h, path) for path in indexed))

    async def _ask_for_roots(self, session: ServerSession) -> None:
        declared = session.client_capabilities
        if declared is None or declared.roots is None:
            return
        try:
            found = await session.send_request(
                types.ListRootsRequest(), types.ListRootsResult, request_read_timeout_seconds=5
            )
        except (MCPError, ValidationError) as exc:
            _log.info("the client did not tell its roots: %s", exc)
            return
        self._hints = [path for root in found.roots if (path := file_path(str(root.uri)))]


def answered(
    method: Callable[[_Self, Context, _Params], Awaitable[_Result]],
) -> Callable[[_Self, Context, _Params], Awaitable[_Result]]:
    """A method whose failures are JSON-RPC errors; of a bug only the log has more."""

    async def guarded(self: _Self, context: Context, params: _Params) -> _Result:
        try:
            return await method(self, context, params)
        except NotFound as exc:
            resource = context.method == "resources/read" and context.protocol_version < "2026"
            code = _NOT_FOUND if resource else types.INVALID_PARAMS
            raise MCPError(code, str(exc), as_dict(exc)) from exc
        except AllmaError as exc:
            raise MCPError(types.INTERNAL_ERROR, str(exc), as_dict(exc)) from exc
        except MCPError:
            raise
        except Exception:
            _log.exception("%s failed", context.method)
            raise MCPError(types.INTERNAL_ERROR, INTERNAL) from None

    return guarded
