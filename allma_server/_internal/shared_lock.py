"""A lock that many readers hold at once, or one writer alone."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator


class SharedLock:
    """Readers share it; a writer has it alone, and goes before readers that come later."""

    def __init__(self) -> None:
        self._readers = 0
        self._writing = False
        self._waiting = 0
        self._released = asyncio.Event()

    @contextlib.asynccontextmanager
    async def shared(self) -> AsyncGenerator[None]:
        """Hold it with other readers."""
        while self._writing or self._waiting:
            await self._released.wait()
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            self._wake()

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncGenerator[None]:
        """Hold it alone."""
        self._waiting += 1
        try:
            while self._writing or self._readers:
                await self._released.wait()
            self._writing = True
        finally:
            self._waiting -= 1
            self._wake()
        try:
            yield
        finally:
            self._writing = False
            self._wake()

    def _wake(self) -> None:
        """Let all that wait look again."""
        self._released.set()
        self._released = asyncio.Event()
