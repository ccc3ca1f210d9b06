"""Connect to the server as an AI client does, and report each step.

The server gets only the environment variables that strict clients pass on, and the name and
protocol version of the client.
"""

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from allma_server import __version__
from allma_server._internal.tasks import background_tasks
from allma_server.errors import AllmaError
from allma_server.integrations import AIClient, Launch
from allma_server.integrations.install import client_file, entry_of, own_launch
from allma_server.locations import client_environment
from allma_server.types import Check, Diagnosis

DEADLINE_SECONDS = 10.0
"""How long the strictest clients wait for a server to start."""

SLOW_SECONDS = 3.0
"""A handshake that takes longer gets a warning."""

EXIT_SECONDS = 2.0
"""How long clients wait for a server to exit before they kill it."""

_MODERN = "2026"
_MAX_LINE_BYTES = 1 << 24
_MAX_STDERR_BYTES = 2000


class _Failed(Exception):
    """The server did not answer as MCP requires; the message says how."""


async def check_client(client: AIClient) -> Diagnosis:
    """Start the server and connect to it as a client does; return a check for each step."""
    checks, launch = await asyncio.to_thread(_configuration, client)
    if launch is not None:
        checks.append(await asyncio.to_thread(_program, client, launch))
        if checks[-1].state != "failed":
            checks += await _connection(client, launch)
    return Diagnosis(all(check.state != "failed" for check in checks), checks)


def _configuration(client: AIClient) -> tuple[list[Check], Launch | None]:
    """Check the client's file, and return how it starts the server, or how it would."""
    name, file = "Configuration", client_file(client)
    install = f"Run `allma install {client.name}`."
    try:
        entry = entry_of(client)
        if entry is None:
            missing = f"{file} does not have Allma; checking the entry that would be written"
            return [Check(name, "warning", missing, install)], own_launch()
    except AllmaError as exc:
        return [Check(name, "failed", exc.message, exc.hint)], None
    launch = client.entry_format.read(entry)
    if launch is None:
        detail = f"the entry in {file} starts no program"
        return [Check(name, "failed", detail, install)], None
    if entry.get("enabled") is False or entry.get("disabled") is True:
        off = f"Allma is disabled in {file}"
        return [Check(name, "failed", off, f"Enable allma in {client.title}.")], launch
    return [Check(name, "ok", f"{file} starts {Path(launch.program).name}")], launch


def _program(client: AIClient, launch: Launch) -> Check:
    name, install = "Program", f"Run `allma install {client.name}` to update the path."
    if os.path.isabs(launch.program):
        if not os.access(launch.program, os.X_OK) or os.path.isdir(launch.program):
            return Check(name, "failed", f"{launch.program} cannot be started", install)
        return Check(name, "ok", launch.program)
    if (found := shutil.which(launch.program)) is None:
        return Check(name, "failed", f"{launch.program} is not found", install)
    detail = f"{launch.program} is {found} in this shell, but desktop programs may not find it"
    return Check(name, "warning", detail, install)


async def _connection(client: AIClient, launch: Launch) -> list[Check]:
    """Check the handshake, the list of tools and a call of a tool."""
    checks: list[Check] = []
    started = time.monotonic()
    step = "Handshake"
    try:
        async with _start_server(client, launch) as server:
            result = await server.initialize()
            checks.append(_handshake(step, result, client, time.monotonic() - started))
            step = "Tools"
            tools = [tool["name"] for tool in (await server.request("tools/list"))["tools"]]
            checks.append(Check(step, "ok", f"{len(tools)}: {', '.join(tools)}"))
            step, called = "Call", time.monotonic()
            result = await server.request("tools/call", {"name": "status", "arguments": {}})
            checks.append(_call(step, result, time.monotonic() - called))
    except _Failed as exc:
        checks.append(Check(step, "failed", str(exc), _next_step(client, launch)))
    except (KeyError, TypeError, IndexError, AttributeError):
        invalid = "the response is not valid MCP"
        checks.append(Check(step, "failed", invalid, _next_step(client, launch)))
    return checks


def _handshake(step: str, result: Mapping[str, Any], client: AIClient, seconds: float) -> Check:
    info = result.get("serverInfo") or _modern_info(result)
    spoken = result.get("protocolVersion", client.protocol_version)
    detail = f"{info.get('name')} {info.get('version')}, MCP {spoken}, {seconds:.1f} s"
    if seconds > SLOW_SECONDS:
        later = "Try again: the first start after an update takes longer."
        return Check(step, "warning", detail, later)
    return Check(step, "ok", detail)


def _call(step: str, result: Mapping[str, Any], seconds: float) -> Check:
    text = " ".join(str(result["content"][0]["text"]).split())
    if result.get("isError"):
        return Check(step, "failed", text, "Run `allma doctor` for details.")
    return Check(step, "ok", f"status answers in {seconds:.1f} s")


def _modern_info(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return result.get("_meta", {}).get("io.modelcontextprotocol/serverInfo", {})


def _next_step(client: AIClient, launch: Launch) -> str:
    command = " ".join([launch.program, *launch.arguments])
    return f"Run `{command}` to see its output, or reset the entry: `allma install {client.name}`."


class _Server:
    """A connection to a started server."""

    def __init__(self, client: AIClient, process: asyncio.subprocess.Process) -> None:
        self._client = client
        self._process = process
        self._last = 0
        self.stderr = bytearray()

    async def initialize(self) -> Mapping[str, Any]:
        """Do the handshake of the client's protocol version and return the result."""
        if self._client.protocol_version >= _MODERN:
            return await self.request("server/discover")
        result = await self.request(
            "initialize",
            {
                "protocolVersion": self._client.protocol_version,
                "capabilities": self._capabilities(),
                "clientInfo": self._info(),
            },
        )
        self._send({"method": "notifications/initialized"})
        return result

    async def request(
        self, method: str, params: Mapping[str, object] | None = None
    ) -> Mapping[str, Any]:
        """Send a request and return its result.

        Raises:
            _Failed: no result arrived.
        """
        self._last += 1
        sent: dict[str, object] = dict(params or {})
        if self._client.protocol_version >= _MODERN:
            sent["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": self._client.protocol_version,
                "io.modelcontextprotocol/clientCapabilities": self._capabilities(),
                "io.modelcontextprotocol/clientInfo": self._info(),
            }
        self._send({"id": self._last, "method": method, "params": sent})
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                return await self._response(method)
        except TimeoutError as exc:
            raise _Failed(
                f"no answer to {method} within {DEADLINE_SECONDS:.0f} s{self._last_error()}"
            ) from exc

    async def _response(self, method: str) -> Mapping[str, Any]:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            try:
                message = json.loads(line)
            except ValueError as exc:
                shown = line[:80].decode("utf-8", "replace").strip()
                raise _Failed(f"standard output is not a message: {shown!r}") from exc
            if "method" in message and "id" in message:
                self._reply(message)
            elif message.get("id") == self._last:
                if error := message.get("error"):
                    raise _Failed(f"{method} failed: {error.get('message')}")
                return message["result"]
        code = await self._process.wait()
        raise _Failed(f"the program exited with code {code}{self._last_error()}")

    def _reply(self, message: Mapping[str, Any]) -> None:
        """Answer a request of the server: an empty list of folders, and an error for others."""
        if message["method"] == "roots/list":
            self._send({"id": message["id"], "result": {"roots": []}})
        else:
            refused = {"code": -32601, "message": "not supported by this check"}
            self._send({"id": message["id"], "error": refused})

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        self._process.stdin.write(line)

    def _capabilities(self) -> dict[str, object]:
        return {name: {} for name in self._client.capabilities}

    def _info(self) -> dict[str, str]:
        return {"name": self._client.client_name, "version": __version__}

    def _last_error(self) -> str:
        lines: Sequence[str] = self.stderr.decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


@asynccontextmanager
async def _start_server(client: AIClient, launch: Launch) -> AsyncGenerator[_Server]:
    """Start the server as the client does, and stop it as clients do.

    Raises:
        _Failed: the program cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            launch.program,
            *launch.arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=Path.home(),
            env={**client_environment(), **launch.environment},
            limit=_MAX_LINE_BYTES,
        )
    except OSError as exc:
        raise _Failed(f"{launch.program} cannot be started: {exc.strerror}") from exc
    server = _Server(client, process)
    async with background_tasks() as tasks:
        tasks.create_task(_read_stderr(process, server.stderr))
        try:
            yield server
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(EXIT_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _read_stderr(process: asyncio.subprocess.Process, stderr: bytearray) -> None:
    assert process.stderr is not None
    while data := await process.stderr.read(1 << 12):
        stderr += data
        del stderr[:-_MAX_STDERR_BYTES]
