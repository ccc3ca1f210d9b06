"""What a client does when it starts the server, done here, and what came of it.

The server gets only the variables that careful clients hand on, and is spoken to in the revision
of the protocol, and under the name, that the client uses.
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
from allma_server.integrations import Client, Launch
from allma_server.integrations.install import client_file, entry_of, own_launch
from allma_server.locations import client_environment
from allma_server.types import Check, Diagnosis

PATIENCE = 10.0
"""Seconds that the least patient clients wait for a server to begin."""

SLOW = 3.0
"""Seconds after which a beginning deserves a remark."""

LEAVING = 2.0
"""How long clients wait for a server to end before they end it."""

_MODERN = "2026"
_LINE = 1 << 24
_SEEN = 2000
"""How much of what the server says on its standard error is kept."""


class _Silent(Exception):
    """The server did not do its part; the sentence tells what."""


async def check_client(client: Client) -> Diagnosis:
    """Starts the server as a client does, asks what it asks, and tells each step."""
    checks, launch = _configuration(client)
    if launch is not None:
        checks.append(_program(client, launch))
        if checks[-1].state != "failed":
            checks += await _conversation(client, launch)
    return Diagnosis(all(check.state != "failed" for check in checks), checks)


def _configuration(client: Client) -> tuple[list[Check], Launch | None]:
    """What the client's file says; what would be written to it where it says nothing."""
    name, file = "Configuration", client_file(client)
    install = f"`allma install {client.name}` writes it."
    try:
        entry = entry_of(client)
        if entry is None:
            missing = f"{file} has no Allma; checked is what would be written"
            return [Check(name, "warning", missing, install)], own_launch()
    except AllmaError as exc:
        return [Check(name, "failed", exc.message, exc.hint)], None
    launch = client.shape.read(entry)
    if launch is None:
        detail = f"the entry in {file} starts no program"
        return [Check(name, "failed", detail, install)], None
    if entry.get("enabled") is False or entry.get("disabled") is True:
        off = f"{file} has Allma, but switched off"
        return [Check(name, "failed", off, f"Switch allma on in {client.title}.")], launch
    return [Check(name, "ok", f"{file} starts {Path(launch.program).name}")], launch


def _program(client: Client, launch: Launch) -> Check:
    name, again = "Program", f"`allma install {client.name}` writes where it is now."
    if os.path.isabs(launch.program):
        if not os.access(launch.program, os.X_OK) or os.path.isdir(launch.program):
            return Check(name, "failed", f"{launch.program} cannot be started", again)
        return Check(name, "ok", launch.program)
    if (found := shutil.which(launch.program)) is None:
        return Check(name, "failed", f"{launch.program} is not found", again)
    detail = f"{launch.program} is {found} here, but programs with windows may not find it"
    return Check(name, "warning", detail, again)


async def _conversation(client: Client, launch: Launch) -> list[Check]:
    """The handshake, the list of tools and a call."""
    checks: list[Check] = []
    began = time.monotonic()
    step = "Handshake"
    try:
        async with _started(client, launch) as server:
            result = await server.begin()
            checks.append(_greeting(step, result, client, time.monotonic() - began))
            step = "Tools"
            tools = [tool["name"] for tool in (await server.ask("tools/list"))["tools"]]
            checks.append(Check(step, "ok", f"{len(tools)}: {', '.join(tools)}"))
            step, called = "Call", time.monotonic()
            answer = await server.ask("tools/call", {"name": "status", "arguments": {}})
            checks.append(_call(step, answer, time.monotonic() - called))
    except _Silent as exc:
        checks.append(Check(step, "failed", str(exc), _advice(client, launch)))
    except (KeyError, TypeError, IndexError, AttributeError):
        unusual = "the server's answer is not what MCP asks for"
        checks.append(Check(step, "failed", unusual, _advice(client, launch)))
    return checks


def _greeting(step: str, result: Mapping[str, Any], client: Client, seconds: float) -> Check:
    info = result.get("serverInfo") or _modern_info(result)
    spoken = result.get("protocolVersion", client.protocol)
    detail = f"{info.get('name')} {info.get('version')}, MCP {spoken}, {seconds:.1f} s"
    if seconds > SLOW:
        later = "Start a client again: the first time after an update takes longer."
        return Check(step, "warning", detail, later)
    return Check(step, "ok", detail)


def _call(step: str, answer: Mapping[str, Any], seconds: float) -> Check:
    said = " ".join(str(answer["content"][0]["text"]).split())
    if answer.get("isError"):
        return Check(step, "failed", said, "`allma doctor` tells more.")
    return Check(step, "ok", f"status answers in {seconds:.1f} s")


def _modern_info(result: Mapping[str, Any]) -> Mapping[str, Any]:
    return result.get("_meta", {}).get("io.modelcontextprotocol/serverInfo", {})


def _advice(client: Client, launch: Launch) -> str:
    command = " ".join([launch.program, *launch.arguments])
    return f"Run `{command}` yourself to see more, or `allma install {client.name}` to set it anew."


class _Server:
    """The other end of a started server."""

    def __init__(self, client: Client, process: asyncio.subprocess.Process) -> None:
        self._client = client
        self._process = process
        self._last = 0
        self.said = bytearray()

    async def begin(self) -> dict[str, Any]:
        """The handshake of the client's era; the server's answer."""
        if self._client.protocol >= _MODERN:
            return await self.ask("server/discover")
        result = await self.ask(
            "initialize",
            {
                "protocolVersion": self._client.protocol,
                "capabilities": self._capabilities(),
                "clientInfo": self._info(),
            },
        )
        self._send({"method": "notifications/initialized"})
        return result

    async def ask(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The result of a request.

        Raises:
            _Silent: it has none.
        """
        self._last += 1
        told: dict[str, Any] = dict(params or {})
        if self._client.protocol >= _MODERN:
            told["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": self._client.protocol,
                "io.modelcontextprotocol/clientCapabilities": self._capabilities(),
                "io.modelcontextprotocol/clientInfo": self._info(),
            }
        self._send({"id": self._last, "method": method, "params": told})
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._answer(method)
        except TimeoutError as exc:
            raise _Silent(f"no answer to {method} within {PATIENCE:.0f} s{self._excuse()}") from exc

    async def _answer(self, method: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            try:
                message = json.loads(line)
            except ValueError as exc:
                shown = line[:80].decode("utf-8", "replace").strip()
                raise _Silent(f"what is no message is on the wire: {shown!r}") from exc
            if "method" in message and "id" in message:
                self._reply(message)
            elif message.get("id") == self._last:
                if error := message.get("error"):
                    raise _Silent(f"{method} is refused: {error.get('message')}")
                return message["result"]
        code = await self._process.wait()
        raise _Silent(f"the program ended with {code}{self._excuse()}")

    def _reply(self, message: Mapping[str, Any]) -> None:
        """Answers what the server asks in return: there are no folders, and nothing else."""
        if message["method"] == "roots/list":
            self._send({"id": message["id"], "result": {"roots": []}})
        else:
            refused = {"code": -32601, "message": "not in a check"}
            self._send({"id": message["id"], "error": refused})

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        line = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        self._process.stdin.write(line)

    def _capabilities(self) -> dict[str, Any]:
        return {offer: {} for offer in self._client.offers}

    def _info(self) -> dict[str, str]:
        return {"name": self._client.says, "version": __version__}

    def _excuse(self) -> str:
        lines: Sequence[str] = self.said.decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


@asynccontextmanager
async def _started(client: Client, launch: Launch) -> AsyncGenerator[_Server]:
    """The server as the client starts it; it is left as clients leave it.

    Raises:
        _Silent: the program cannot be started.
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
            limit=_LINE,
        )
    except OSError as exc:
        raise _Silent(f"{launch.program} cannot be started: {exc.strerror}") from exc
    server = _Server(client, process)
    async with background_tasks() as tasks:
        tasks.create_task(_listen(process, server.said))
        try:
            yield server
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                async with asyncio.timeout(LEAVING):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _listen(process: asyncio.subprocess.Process, said: bytearray) -> None:
    assert process.stderr is not None
    while data := await process.stderr.read(1 << 12):
        said += data
        del said[:-_SEEN]
