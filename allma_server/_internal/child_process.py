"""A child process that answers calls over a pipe, with a time limit on each call.

Code that can hang, crash or exhaust memory (a vector store, parsing of untrusted files) runs in a
child; the parent gets an expected error instead. A frame is a length, a JSON header, and the binary
blobs whose sizes the header lists.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from allma_server import errors
from allma_server._internal.child_server import LENGTH, Blobs, Response, frame
from allma_server._internal.tasks import completed

_EXIT_SECONDS = 10.0
_ROOT = Path(__file__).resolve().parents[2]


class ChildFailed(Exception):
    """The child died, exceeded its time limit, or raised an unexpected exception.

    `hung`: the time limit was exceeded. `bug`: the child's traceback, if it raised. `exit_code`: of
    a child that ended by itself, negative for a signal.
    """

    def __init__(
        self,
        message: str,
        *,
        hung: bool = False,
        bug: str | None = None,
        exit_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.hung = hung
        self.bug = bug
        self.exit_code = exit_code


class Child:
    """The parent's end: starts `python -m module *args` at the first call, and again after it died.

    Calls are answered one at a time. The child ends when its standard input closes, which also
    happens when the parent is killed.
    """

    def __init__(
        self,
        module: str,
        args: Sequence[str] = (),
        *,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = [sys.executable, "-P", "-m", module, *args]
        self._cwd = cwd
        self._environment = {**(environment or {}), "PYTHONPATH": str(_ROOT)}
        self._process: asyncio.subprocess.Process | None = None
        self._calling = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The running child's process id."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def call(
        self, method: str, params: Any = None, blobs: Blobs = (), *, limit: float
    ) -> tuple[Any, list[bytes]]:
        """Return the child's answer to `method`, within `limit` seconds.

        Raises:
            AllmaError: the error that the child raised.
            ChildFailed: it died, hung (then it is killed), or has a bug.
        """
        async with self._calling:
            try:
                async with asyncio.timeout(limit):
                    process = await self._running()
                    return await _exchange(process, method, params, blobs)
            except TimeoutError:
                await self._kill()
                raise ChildFailed(f"{method} took longer than {limit:g} s", hung=True) from None
            except (asyncio.IncompleteReadError, ConnectionError, OSError) as exc:
                code = await self._exit_code()
                raise ChildFailed(f"the process ended during {method}", exit_code=code) from exc
            except asyncio.CancelledError:
                # The next call would read this call's answer, so the child cannot be used again.
                await self._kill()
                raise

    def dismiss(self) -> None:
        """Let an idle child end by itself; the next call starts another."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def close(self, grace: float = 10.0) -> None:
        """End the child by closing its input; kill it after `grace` seconds."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(grace):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process and self._process.stdin and self._process.stdin.is_closing():
            await self.close()  # dismissed, or dead but not collected yet
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                limit=1 << 22,
            )
        return self._process

    async def _exit_code(self) -> int | None:
        """Return the exit code of a child whose pipe is closed; kill one that keeps running."""
        process = self._process
        with contextlib.suppress(TimeoutError):
            if process is not None:
                async with asyncio.timeout(_EXIT_SECONDS):
                    await process.wait()
        await self._kill()
        return process.returncode if process is not None else None

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await completed(process.wait())


async def _exchange(
    process: asyncio.subprocess.Process, method: str, params: Any, blobs: Blobs
) -> tuple[Any, list[bytes]]:
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None and stdout is not None
    stdin.writelines(frame({"method": method, "params": params}, blobs))
    await stdin.drain()
    (length,) = LENGTH.unpack(await stdout.readexactly(LENGTH.size))
    header = json.loads(await stdout.readexactly(length))
    received = [await stdout.readexactly(size) for size in header["blobs"]]
    response: Response = header
    if error := response.get("error"):
        raise errors.from_dict(error)
    if bug := response.get("bug"):
        raise ChildFailed(f"{method} failed: {bug.strip().splitlines()[-1]}", bug=bug)
    return response.get("result"), received
