"""Broken and hostile model servers: raw bytes, endless or oversized."""

import asyncio
import json
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Literal

from allma_server.errors import (
    AnswerInterrupted,
    EmptyAnswer,
    ProviderError,
    ProviderUnreachable,
)

Send = Callable[[bytes], Awaitable[None]]
Call = Literal["version", "list", "show", "pull", "chat", "openai", "embed", "openai embed"]

JSON = b"Content-Type: application/json"
SHOWN = {"capabilities": ["completion", "embedding"], "model_info": {"llama.context_length": 8192}}


@dataclass(frozen=True, slots=True)
class Case:
    """What is called, what the server does then, and which error says what of it.

    `is_silent`: the error is that it sends too little.
    """

    call: Call
    script: Callable[[Send], Awaitable[None]]
    kind: type[ProviderError]
    words: str
    is_silent: bool = False


def head(*fields: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *fields, b"Connection: close", b"", b""])


def endless(block: bytes, *fields: bytes, first: bytes = b"") -> Callable[[Send], Awaitable[None]]:
    async def script(send: Send) -> None:
        await send(head(*fields or (JSON,)) + first)
        while True:
            await send(block)

    return script


def slow(block: bytes, seconds: float, first: bytes = b"") -> Callable[[Send], Awaitable[None]]:
    async def script(send: Send) -> None:
        await send(head(JSON) + first)
        while True:
            await send(block)
            await asyncio.sleep(seconds)

    return script


def once(content: bytes, *fields: bytes) -> Callable[[Send], Awaitable[None]]:
    async def script(send: Send) -> None:
        await send(head(*fields or (JSON,)))
        for at in range(0, len(content), 1 << 16):
            await send(content[at : at + (1 << 16)])

    return script


async def bare(send: Send) -> None:
    """Not HTTP at all."""
    while True:
        await send(b"SSH-2.0-OpenSSH_9.6\r\n" * 100)


async def headers(send: Send) -> None:
    await send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await send(b"X-More: " + b"x" * 1000 + b"\r\n")


def interim(status: bytes, *, more: int = 0) -> Callable[[Send], Awaitable[None]]:
    """Interim responses without end, with `more` bytes of headers each, in small pieces."""

    async def script(send: Send) -> None:
        while True:
            await send(b"HTTP/1.1 " + status + b"\r\nX-More: ")
            await asyncio.sleep(0.001)
            await send(b"x" * more + b"\r\n\r\n")

    return script


async def announced(send: Send) -> None:
    """A few interim responses before a sound answer, as HTTP allows."""
    await send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    await send(head(JSON) + b'{"version":1}')


async def not_modified(send: Send) -> None:
    await send(head(status=b"304 Not Modified"))


@cache
def bomb(text: bytes = b" ") -> bytes:
    """1.2 GB of `text` as gzip: blocks that are independent."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = text * ((16 << 20) // len(text))
    first = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * 74


def said(text: str, **message: object) -> bytes:
    return json.dumps({"message": {"content": text, **message}, "done": False}).encode() + b"\n"


def event(**delta: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n"


GZIP = (JSON, b"Content-Encoding: gzip")
MB = "sent more than 4 MB"
AGAIN = "sent only interim responses"
UNHEARD = "without content"

CASES: dict[str, Case] = {
    "an endless list": Case("list", endless(b" " * 65536), ProviderError, MB),
    "an endless list of models": Case(
        "list", endless(b'{"name":"m"},' * 5000, first=b'{"models":['), ProviderError, MB
    ),
    "4 MB of empty models": Case(
        "list",
        once(b'{"models":[' + b"{}," * 1_390_000 + b"{}]}"),
        ProviderError,
        "unexpected response",
    ),
    "4 MB of numbers for a model": Case(
        "show",
        once(b'{"model_info":{"a.context_length":[' + b"1," * 2_000_000 + b"1]}}"),
        ProviderError,
        "unexpected response",
    ),
    "a list nested 100,000 deep": Case(
        "list", once(b"[" * 100_000), ProviderError, "unexpected response"
    ),
    "1.2 GB as gzip": Case("list", once(bomb(), *GZIP), ProviderError, MB),
    "1.2 GB as deflate under a length": Case(
        "list",
        once(bomb(), *GZIP, b"Content-Length: %d" % len(bomb())),
        ProviderError,
        MB,
    ),
    "broken gzip": Case("list", once(b"\x1f\x8bnonsense", *GZIP), ProviderError, "damaged"),
    "brotli": Case(
        "list",
        once(b"x", JSON, b"Content-Encoding: br"),
        ProviderError,
        "unsupported content encoding",
    ),
    "one byte a second": Case(
        "version", slow(b" ", 1.0, b'{"version":"'), ProviderUnreachable, "within 5 seconds"
    ),
    "headers without end": Case("version", headers, ProviderUnreachable, "was lost"),
    "hints without end": Case("version", interim(b"103 Early Hints"), ProviderError, AGAIN),
    "100 without end": Case("chat", interim(b"100 Continue"), ProviderError, AGAIN),
    "102 without end": Case("openai", interim(b"102 Processing"), ProviderError, AGAIN),
    "long hints": Case("embed", interim(b"103 Early Hints", more=40_000), ProviderError, AGAIN),
    "a few interim responses": Case("version", announced, ProviderError, "unexpected response"),
    "304": Case("list", not_modified, ProviderError, "answered 304 Not Modified, which is no"),
    "another protocol": Case("version", bare, ProviderUnreachable, "was lost"),
    "an endless line": Case(
        "chat", endless(b"x" * 65536, first=b'{"message":{"content":"'), ProviderError, UNHEARD
    ),
    "newlines only": Case("chat", endless(b"\n" * 65536), ProviderError, UNHEARD),
    "newlines now and then": Case(
        "chat", slow(b"\n", 0.2), ProviderUnreachable, "sent nothing for 2 seconds", is_silent=True
    ),
    "empty messages only": Case("chat", endless(said("") * 500), ProviderError, UNHEARD),
    "empty messages now and then": Case(
        "chat",
        slow(said(""), 0.2),
        ProviderUnreachable,
        "sent nothing for 2 seconds",
        is_silent=True,
    ),
    "an answer without end": Case(
        "chat", endless(said("and so on ") * 100), AnswerInterrupted, "far more than its limit"
    ),
    "an answer in one line of 900 kB": Case(
        "chat", once(said("x" * 900_000)), EmptyAnswer, "far more than its limit"
    ),
    "an answer of a word a second": Case(
        "chat",
        slow(said("word "), 0.5),
        AnswerInterrupted,
        "had not ended its answer",
        is_silent=True,
    ),
    "thinking without end": Case(
        "chat", endless(said("", thinking="hm ") * 100), EmptyAnswer, "far more"
    ),
    "thinking without end in the text": Case(
        "chat", endless(said("hm ") * 100, first=said("<think>")), EmptyAnswer, "far more"
    ),
    "a stream that stops": Case(
        "chat",
        slow(b"", 1000, said("Be")),
        AnswerInterrupted,
        "sent nothing for 1 second",
        is_silent=True,
    ),
    "an answer as a gzip of 1.2 GB": Case("chat", once(bomb(b"\n"), *GZIP), ProviderError, UNHEARD),
    "an error of 1.2 GB": Case(
        "chat",
        lambda send: _error(send, bomb()),
        ProviderError,
        MB,
    ),
    "keep-alive signs only": Case(
        "openai", endless(b": keep-alive\n\n" * 1000), ProviderError, UNHEARD
    ),
    "an event without end": Case("openai", endless(b"data: x\n" * 5000), ProviderError, UNHEARD),
    "events of another kind": Case(
        "openai", endless(b"event: ping\ndata: \n\n" * 1000), ProviderError, UNHEARD
    ),
    "events without end": Case(
        "openai", endless(event(content="so ") * 100), AnswerInterrupted, "far more"
    ),
    "reasoning without end": Case(
        "openai", endless(event(reasoning_content="hm ") * 100), EmptyAnswer, "far more"
    ),
    "vectors without end": Case(
        "embed", endless(b"0.1," * 10_000, first=b'{"embeddings":[['), ProviderError, MB
    ),
    "a vector of two million numbers": Case(
        "embed",
        once(b'{"embeddings":[[' + b"1," * 2_000_000 + b"1]]}"),
        ProviderError,
        "unexpected response",
    ),
    "the same vector for all": Case(
        "openai embed", once(b'{"data":[{"index":0,"embedding":[1]}]}'), ProviderError, "1 vector"
    ),
    "a download of newlines": Case("pull", endless(b"\n" * 65536), ProviderError, UNHEARD),
    "a download of one line": Case("pull", endless(b"x" * 65536), ProviderError, UNHEARD),
}


async def _error(send: Send, packed: bytes) -> None:
    await send(head(*GZIP, status=b"500 Internal Server Error"))
    for at in range(0, len(packed), 1 << 16):
        await send(packed[at : at + (1 << 16)])


@asynccontextmanager
async def hostile(case: Case) -> AsyncGenerator[str]:
    """The address of a server that is sound, but for what the case calls."""
    open_connections: set[asyncio.StreamWriter] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_connections.add(writer)

        async def send(content: bytes) -> None:
            writer.write(content)
            await writer.drain()

        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = request.partition("content-length: ")[2].partition("\r\n")[0]
            await reader.readexactly(int(length or 0))
            if "/api/show" in request and case.call != "show":
                await once(json.dumps(SHOWN).encode())(send)
            else:
                await case.script(send)
        open_connections.discard(writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()
        for writer in list(open_connections):
            writer.transport.abort()
