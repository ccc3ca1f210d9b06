"""Read responses with limits: a whole body, or the lines of a stream."""

import asyncio
import time
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx

from allma_server.errors import ProviderError, ProviderUnreachable
from allma_server.providers.http.failures import map_errors
from allma_server.providers.http.provider import Provider

MAX_BODY_BYTES = 4 << 20
"""Limit of a whole body; twice the size of a thousand models or a batch of long vectors."""

MAX_IDLE_BYTES = 1 << 20
"""Bytes of a stream without content: one long event, blank lines, or keep-alive comments."""

_PIECE_BYTES = 1 << 16
_CHECK_ADDRESS = "Check that this is the address of the right server."


class StreamTimeouts:
    """The timeouts of a stream. Its reader calls `received` for everything that has content.

    `error` is the class of the exceptions once an answer has begun; before that, failures mean that
    the server is unreachable.
    """

    def __init__(self, first: float, between: float, total: float) -> None:
        """Begin now.

        Args:
            first: seconds until the first content.
            between: seconds from one piece of content to the next.
            total: seconds for the whole stream.
        """
        self.error: type[ProviderError] | None = None
        self.idle_bytes = 0
        self._interval = first
        self._between = between
        self._total = total
        self._until = time.monotonic() + first
        self._end = time.monotonic() + total

    def received(self) -> None:
        """Restart the timeout, because content was received."""
        self._interval = self._between
        self._until = time.monotonic() + self._between
        self.idle_bytes = 0

    @property
    def deadline(self) -> float:
        """In seconds of the monotonic clock."""
        return min(self._until, self._end)

    @property
    def description(self) -> str:
        """What a timeout means, as the predicate of a sentence about the server."""
        if self._end < self._until:
            return f"had not ended its answer after {_seconds(self._total)}"
        return f"sent nothing for {_seconds(self._interval)}"


async def read_body(response: httpx.Response, provider: Provider) -> bytes:
    """Return the body of a response.

    Raises:
        ProviderError: it is too large, or its encoding is not supported.
    """
    content = bytearray()
    async with aclosing(_decompress(response, provider)) as pieces:
        async for piece in pieces:
            content += piece
            if len(content) > MAX_BODY_BYTES:
                raise ProviderError(
                    f"{provider.name} at {provider.url} sent more than "
                    f"{MAX_BODY_BYTES >> 20} MB at once; the rest was not read.",
                    _CHECK_ADDRESS,
                )
    return bytes(content)


async def read_lines(
    response: httpx.Response, provider: Provider, timeouts: StreamTimeouts
) -> AsyncGenerator[bytes]:
    """Yield the lines of a stream, without the line feeds that end them.

    Raises:
        ProviderError: a timeout, too many bytes without content, or a broken stream.
    """
    pending = bytearray()
    async with aclosing(_decompress(response, provider)) as pieces:
        while True:
            with map_errors(provider, timeouts.description, timeouts.error):
                async with asyncio.timeout(max(0.0, timeouts.deadline - time.monotonic())):
                    piece = await anext(pieces, None)
            if piece is None:
                break
            *lines, rest = piece.split(b"\n")
            for line in lines:
                pending += line
                timeouts.idle_bytes += len(line) + 1
                row = bytes(pending)
                pending.clear()
                yield row
            pending += rest
            timeouts.idle_bytes += len(rest)
            if timeouts.idle_bytes > MAX_IDLE_BYTES:
                raise (timeouts.error or ProviderError)(
                    f"{provider.name} at {provider.url} sent more than {MAX_IDLE_BYTES >> 20} MB "
                    "without content; the rest was not read.",
                    _CHECK_ADDRESS,
                )
    if pending:
        yield bytes(pending)


async def _decompress(response: httpx.Response, provider: Provider) -> AsyncGenerator[bytes]:
    """Yield the body in pieces of limited size, whatever its compression ratio."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise ProviderError(
            f"{provider.name} at {provider.url} sent an unsupported content encoding.",
            "A proxy may be the cause.",
        )
    decompressor = None if encoding in ("", "identity") else zlib.decompressobj(47)
    async for piece in response.aiter_raw():
        if decompressor is None:
            yield piece
            continue
        try:
            while data := decompressor.decompress(piece, _PIECE_BYTES):
                yield data
                piece = decompressor.unconsumed_tail
        except zlib.error as exc:
            raise ProviderUnreachable(
                f"The response of {provider.name} at {provider.url} is damaged.",
                "Try again, or see its log.",
            ) from exc


def _seconds(seconds: float) -> str:
    if seconds >= 120:
        return f"{seconds / 60:g} minutes"
    return "1 second" if seconds == 1 else f"{seconds:g} seconds"
