"""Run the program as its clients do: a process and a connection to it."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.protocol.wire import Lines, Wire


@asynccontextmanager
async def program(
    *arguments: str, wire: type[Wire] = Lines, cwd: Path | None = None
) -> AsyncGenerator[tuple[Any, asyncio.subprocess.Process]]:
    """Start `allma-server` with these arguments, and yield a client and the process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "allma_server", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
        cwd=cwd,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield wire(process.stdout, process.stdin), process
    finally:
        if process.returncode is None:
            process.stdin.close()
            async with asyncio.timeout(15):
                await process.wait()
