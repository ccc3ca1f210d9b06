"""A session: how the shell reaches an engine, wherever that runs.

Whoever holds a session sees results only, the dataclasses of `model`, and hears of progress
through `ports.Progress`.
"""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from allma_server.config import Config
    from allma_server.ports import Progress


class Session(Protocol):
    """An open way to an engine."""

    async def run(
        self, operation: str, arguments: Mapping[str, Any], progress: "Progress | None" = None
    ) -> Any:
        """The result of an operation, by its name in `operations.BY_NAME`.

        Raises:
            AllmaError: whatever the operation foresees.
        """
        ...


@asynccontextmanager
async def open_session(config: "Config", *, solo: bool = False) -> AsyncGenerator[Session]:
    """A session over the data directory of `config`: with its daemon when one is running.

    Otherwise, or when `solo`, the engine runs in this process.

    Raises:
        StorageError: the data directory is owned by another process, too new, or not usable.
    """
    if not solo:
        from allma_server.daemon.remote import reach

        if (remote := await reach(config.data_dir)) is not None:
            try:
                yield remote
            finally:
                await remote.close()
            return

    # The engine and its operations are most of the program; the shell's help does without them.
    from allma_server.engine import open_engine
    from allma_server.operations import BY_NAME, Call, Silent

    class InProcess:
        async def run(
            self, operation: str, arguments: Mapping[str, Any], progress: "Progress | None" = None
        ) -> Any:
            return await BY_NAME[operation](Call(engine, progress or Silent()), arguments)

    async with open_engine(_at_full_speed(config)) as engine:
        yield InProcess()


def _at_full_speed(config: "Config") -> "Config":
    """Somebody waits for a command to end; in the background half of the cores are left alone."""
    return config.model_copy(update={"embed_threads": config.embed_threads or os.cpu_count() or 1})
