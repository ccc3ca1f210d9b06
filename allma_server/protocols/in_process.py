"""A protocol over standard input and output, with the engine in the same process."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from allma_server._internal.imports import imported
from allma_server._internal.logs import logging_to
from allma_server._internal.tasks import background_tasks
from allma_server.config import LiveSettings, question_defaults
from allma_server.errors import AllmaError, DataDirectoryBusy
from allma_server.locations import project_folder, question_settings
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.registry import serve_protocol
from allma_server.protocols.stdio import Writer, exit_after, run_stdio
from allma_server.types import LOCAL

if TYPE_CHECKING:
    from allma_server.engine import Engine

CLOSING_SECONDS = 10.0
"""Seconds for the engine to close after the client has left."""

BUSY_PAUSE = 0.1
"""Seconds between two attempts to lock a data directory that another process uses."""

_log = logging.getLogger(__name__)


def serve_solo(
    protocol: str,
    wire: tuple[int, int],
    settings: Mapping[str, Any],
    workspaces: Sequence[str] = (),
) -> NoReturn:
    """Serve the one client at the other end of `wire`, then end the process.

    Args:
        protocol: the name of the protocol in `PROTOCOLS`.
        wire: descriptors to read from and to write to, as `open_stdio` returns them.
        settings: settings from the command line.
        workspaces: folders to index and to search, for MCP.
    """

    async def serve(reader: asyncio.StreamReader, writer: Writer) -> int:
        client = ClientContext(
            LOCAL,
            cwd=os.getcwd(),
            workspaces=tuple(workspaces),
            project_folder=project_folder(),
            defaults=question_defaults(question_settings()),
        )
        async with engine_on_demand(LiveSettings(settings)) as engine:
            try:
                return await serve_protocol(protocol, engine, reader, writer, client)
            finally:
                exit_after(CLOSING_SECONDS)

    # Clients show stderr in their logs, often the only place where people look.
    stderr = logging.StreamHandler()
    stderr.setLevel(logging.WARNING)
    logging.basicConfig(level=logging.WARNING, handlers=[stderr])
    run_stdio(*wire, serve)


@asynccontextmanager
async def engine_on_demand(
    settings: LiveSettings,
    *,
    wait_seconds: float = 0.0,
    clients: Callable[[], int] = lambda: 1,
) -> AsyncGenerator[EngineProvider]:
    """Provide an engine that its first caller opens, and that closes with the context.

    If it cannot be opened, the callers get the reason, and the next call tries again.

    Args:
        settings: read when the engine is opened, and followed while it runs.
        wait_seconds: seconds to wait for another process to release the data directory.
        clients: returns the number of connected clients.
    """
    on_demand = _OnDemand(settings, wait_seconds, clients)
    async with background_tasks() as background:
        background.create_task(on_demand.hold())
        yield on_demand.engine


class _OnDemand:
    """Opens the engine at the first call, and again after a failure."""

    def __init__(
        self, settings: LiveSettings, wait_seconds: float, clients: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._wait_seconds = wait_seconds
        self._clients = clients
        self._wanted = asyncio.Event()
        self._engine: asyncio.Future[Engine] | None = None

    async def engine(self) -> "Engine":
        if self._engine is None:
            self._engine = asyncio.get_running_loop().create_future()
            self._wanted.set()
        # Shielded: a cancelled caller must not cancel it for the others.
        return await asyncio.shield(self._engine)

    async def hold(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            engine = self._engine
            assert engine is not None
            failure = await self._failure(engine)
            if not engine.done():
                self._engine = None
                engine.set_exception(failure)
                engine.exception()  # retrieved, because every caller may have been cancelled

    async def _failure(self, engine: "asyncio.Future[Engine]") -> Exception:
        """Open the engine and keep it open; return the failure that prevents or ends it."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._wait_seconds
        while True:
            try:
                await self._open(engine)
            except DataDirectoryBusy as exc:
                if clock() >= deadline:
                    return exc
                await asyncio.sleep(BUSY_PAUSE)
            except AllmaError as exc:
                return exc
            except Exception as exc:
                _log.exception("unexpected error in the engine")
                return exc

    async def _open(self, engine: "asyncio.Future[Engine]") -> NoReturn:
        # Imported late: it is most of the program, and the handshake is answered meanwhile.
        await imported("allma_server.engine")
        from allma_server.engine import open_engine

        config = await asyncio.to_thread(self._settings.load)
        async with AsyncExitStack() as stack:
            await asyncio.to_thread(stack.enter_context, logging_to(config.data_dir))
            opened = await stack.enter_async_context(
                open_engine(config, self._clients, self._settings)
            )
            opened.ingestion.start_monitoring()
            engine.set_result(opened)
            try:
                await asyncio.Event().wait()
            finally:
                self._engine = None  # no caller gets an engine that is closing
        raise AssertionError("the event is never set")
