"""A door over standard input and output, with the engine in the same process."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from allma_server._internal.imports import imported
from allma_server._internal.logs import logging_to
from allma_server._internal.tasks import background_tasks
from allma_server.config import LiveSettings, question_defaults
from allma_server.errors import AllmaError, DataDirectoryBusy
from allma_server.locations import project_folder, question_settings
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineSource
from allma_server.protocols.stdio import Writer, last_resort, run_stdio
from allma_server.types import LOCAL

if TYPE_CHECKING:
    from allma_server.engine import Engine

Door = Literal["lsp", "mcp"]

CLOSING_SECONDS = 10.0
"""How long the engine may take to close when the client has left."""

BUSY_PAUSE = 0.1
"""Seconds between two tries to own a data directory that another process still holds."""

_log = logging.getLogger(__name__)


def serve_solo(
    door: Door, wire: tuple[int, int], settings: Mapping[str, Any], workspaces: Sequence[str] = ()
) -> NoReturn:
    """Serves the one client at the other end of `wire`, then ends the process.

    Args:
        door: the protocol it speaks.
        wire: descriptors to read from and to write to, as `open_stdio` gives them.
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
                # Only the protocol that is spoken is imported: each takes a second.
                await imported(f"allma_server.protocols.{door}")
                if door == "lsp":
                    from allma_server.protocols.lsp import serve_lsp

                    return await serve_lsp(engine, reader, writer, client)
                from allma_server.protocols.mcp import serve_mcp

                await serve_mcp(engine, reader, writer, client)
                return 0
            finally:
                last_resort(CLOSING_SECONDS)

    # Clients collect what a server says on stderr; it is often all there is to look at.
    said = logging.StreamHandler()
    said.setLevel(logging.WARNING)
    logging.basicConfig(level=logging.WARNING, handlers=[said])
    run_stdio(*wire, serve)


@asynccontextmanager
async def engine_on_demand(
    settings: LiveSettings,
    *,
    wait_seconds: float = 0.0,
    clients: Callable[[], int] = lambda: 1,
) -> AsyncGenerator[EngineSource]:
    """An engine that is opened when it is first asked for, and closed with the block.

    While it cannot be opened, whoever asks is told why, and the next one has it tried again.

    Args:
        settings: read when the engine is opened, and followed while it runs.
        wait_seconds: how long to wait for another owner to let go of the data directory.
        clients: tells how many clients there are.
    """
    on_demand = _OnDemand(settings, wait_seconds, clients)
    async with background_tasks() as background:
        background.create_task(on_demand.hold())
        yield on_demand.engine


class _OnDemand:
    """Opens the engine when somebody wants it, and again if it broke down."""

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
        # Shielded: who stops waiting must not take the engine from the others.
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
                engine.exception()  # whoever asked may have left, and nobody take note of it

    async def _failure(self, engine: "asyncio.Future[Engine]") -> Exception:
        """Opens the engine and holds it; returns why that could not be, or not any longer."""
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
                _log.exception("there is no engine because of a bug")
                return exc

    async def _open(self, engine: "asyncio.Future[Engine]") -> NoReturn:
        # Most of the program; the handshake is answered meanwhile.
        await imported("allma_server.engine")
        from allma_server.engine import open_engine

        config = await asyncio.to_thread(self._settings.opened)
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
                self._engine = None  # nobody is given one that is closing
        raise AssertionError("nobody sets the event")
