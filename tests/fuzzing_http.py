"""Mutated HTTP requests: operations, MCP of both eras, uploads, and bytes that are no HTTP."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h11
import httpx

from allma_server.daemon.control import daemon_status
from allma_server.locations import data_dir
from tests.e2e.program import program
from tests.fuzzing import ODD, OPERATIONS, Fuzzer, Outcome, resident
from tests.protocol.http_server import ACCEPTED, OPENING, browser

CONNECTIONS = 20
SECONDS = 60
"""For the response to one request."""

OTHERS: list[tuple[str, Any]] = [
    ("tokens.list", {}), ("tokens.add", {"name": "x"}), ("cancel", {"call": "none"}),
    ("login", {"code": "none"}), ("upload", {}), ("me", {}), ("openapi.json", {}), ("none", {}),
]  # fmt: skip
PATHS = [
    "/",
    "/index.html",
    "/health",
    "/ready",
    "/metrics",
    "/mcp",
    "/..%2f..%2fetc/passwd",
    "/%00",
]
METHODS = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "post", "\x80"]
KINDS = [
    "application/json",
    "application/octet-stream",
    "text/plain",
    "application/json; x=\xff",
    "",
]
LINES = [
    b"Content-Length: -1", b"Content-Length: 5", b"Content-Length: 99999999999", b"Host: evil.org",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Expect: 100-continue",
    b"Authorization: Bearer x", b"Authorization: Basic eDp4", b"Origin: null",
    b"Cookie: allma_visit=x",
    b"X: " + b"a" * 70_000, b"no colon", b": empty", b"Bad\x00: x", b"Mcp-Session-Id: \xc3\xa9",
    b"Mcp-Protocol-Version: 2026-07-28", b"Mcp-Protocol-Version: 1999-01-01", b"Upgrade: websocket",
    b"Connection: close", b"Last-Event-ID: 7", b"Accept: \xff", b"Accept: text/event-stream",
]  # fmt: skip


class HttpFuzzer:
    """Makes the bytes of requests, always the same ones for a seed."""

    def __init__(self, token: str, host: str, seed: int) -> None:
        self._given = Fuzzer("shell", seed), Fuzzer("mcp", seed), Fuzzer("modern", seed)
        self.chance = self._given[0].chance
        self._own = [f"Host: {host}".encode(), f"Authorization: Bearer {token}".encode()]

    def request(self, session: str) -> tuple[bytes, bool]:
        """Return the bytes, and whether they may be incomplete."""
        method, path, headers, body = self._plain(session)
        chance = self.chance
        if chance.random() < 0.1:
            # GET of a session's stream would be answered, but never end.
            method = chance.choice(METHODS[1:] if path == "/mcp" else METHODS)
        if chance.random() < 0.05:
            path = chance.choice(PATHS)
        if chance.random() < 0.1:
            path += chance.choice(
                ["?call=\x80", "?names=camel", "?workspace=..&name=.env", "?" + "x" * 9000]
            )
        lines = [*self._own, *headers]
        broken = chance.random() < 0.15
        if broken:
            lines.insert(chance.randrange(len(lines) + 1), chance.choice(LINES))
        if not any(line.lower().startswith(b"transfer") for line in lines):
            lines.append(b"Content-Length: %d" % len(body))
        head = f"{method} {path} HTTP/1.1".encode("latin-1", "replace")
        data = b"\r\n".join([head, *lines, b"", body])
        if chance.random() < 0.03:
            return data[: chance.randrange(len(data))], True
        if chance.random() < 0.03:
            return bytes(chance.randrange(256) for _ in range(chance.randrange(1, 300))), True
        return data, broken

    def _plain(self, session: str) -> tuple[str, str, list[bytes], bytes]:
        chance = self.chance
        shell, legacy, modern = self._given
        roll = chance.random()
        if roll < 0.2:
            body = chance.choice((shell.frame, legacy.frame))().body
            headers = [f"{name}: {value}".encode() for name, value in ACCEPTED.items()]
            return "POST", "/mcp", [*headers, _JSON, f"Mcp-Session-Id: {session}".encode()], body
        if roll < 0.4:
            body = modern.frame().body
            headers = [b"Accept: application/json, text/event-stream", _JSON]
            return "POST", "/mcp", [*headers, b"Mcp-Protocol-Version: 2026-07-28"], body
        name, arguments = chance.choice([*OPERATIONS, *OTHERS])
        arguments = dict(arguments)
        for _ in range(chance.choice((0, 1, 1, 2))):
            key = chance.choice([*arguments, "extra"])
            arguments[key] = chance.choice(ODD)
        kind = f"Content-Type: {chance.choice([KINDS[0]] * 6 + KINDS)}".encode("latin-1")
        stream = [b"Accept: text/event-stream"] * (chance.random() < 0.3)
        return "POST", f"/api/{name}", [kind, *stream], json.dumps(arguments).encode()


_JSON = b"Content-Type: application/json"


@asynccontextmanager
async def served() -> AsyncGenerator[tuple[str, str]]:
    """A server in processes of its own: its address, and the token of a user who writes."""
    async with program("tokens", "add", "fuzz", "--can", "write", "--json") as (made, _):
        token = json.loads(await made.reader.read())["token"]
    async with program("serve", "--port", "0", "--json") as (told, process):
        try:
            said = b""
            while b"}" not in said:
                said += await told.reader.readline()
            yield json.loads(said)["url"], token
        finally:
            process.terminate()


async def run_http(requests: int, seed: int) -> Outcome:
    """Send so many requests over several connections, and see that each is answered."""
    outcome = Outcome()
    async with served() as (url, token):
        address = httpx.URL(url)
        fuzzer = HttpFuzzer(token, address.netloc.decode(), seed)
        engine = await _engine()
        left = requests

        async def use() -> None:
            nonlocal left
            session = await _session(url, token)
            while left > 0:
                left -= 1
                if left % max(1, requests // 5) == 0:
                    outcome.memory.append((0, resident(engine)))
                data, is_broken = fuzzer.request(session)
                try:
                    async with asyncio.timeout(SECONDS):
                        status, body = await _exchange(address, data, is_broken)
                except TimeoutError:
                    outcome.faults.append(f"no answer to {data[:400]!r}")
                else:
                    _note(outcome, data, status, body, is_broken)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(CONNECTIONS, requests)):
                tasks.create_task(use())
        outcome.memory.append((0, resident(engine)))
        if engine != await _engine():
            outcome.faults.append("the engine has died")
    return outcome


def _note(outcome: Outcome, data: bytes, status: int, body: bytes, is_broken: bool) -> None:
    outcome.answers[str(status or "closed")] += 1
    if not status and not is_broken:
        outcome.faults.append(f"closed without an answer: {data[:400]!r}")
    if status == 500 or b"internal_error" in body or b"Unexpected error" in body:
        outcome.faults.append(f"unexpected failure: {data[:600]!r}: {body[:300]!r}")


async def _exchange(address: httpx.URL, data: bytes, ends: bool) -> tuple[int, bytes]:
    """Send bytes over a new connection; return status and body, 0 if it is closed before."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    # As if it had sent a request itself, so that it takes the response.
    client, status, body = h11.Connection(h11.CLIENT), 0, b""
    method = "HEAD" if data.startswith(b"HEAD ") else "GET"
    client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    try:
        writer.write(data)
        if ends:
            writer.write_eof()
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(await reader.read(1 << 16))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                return status, body
    except (ConnectionError, h11.RemoteProtocolError):
        return status, body
    finally:
        writer.close()


async def _session(url: str, token: str) -> str:
    """Begin a session of MCP's handshake era; return its id."""
    async with browser(url, token) as client:
        begun = await client.post("/mcp", json=OPENING, headers=ACCEPTED)
        return begun.headers["mcp-session-id"]


async def _engine() -> int:
    status = await daemon_status(Path(data_dir()))
    assert status.pid is not None, "the engine does not run"
    return status.pid
