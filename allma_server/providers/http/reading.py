"""What is read of a model server, in bounded pieces: a whole body, or the lines of a stream."""

import asyncio
import time
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx

from allma_server.errors import ProviderError, ProviderUnreachable
from allma_server.providers.http.failures import translated
from allma_server.providers.http.provider import Provider

LARGEST_BODY = 4 << 20
"""Bytes of an answer that comes whole: a thousand models, or a batch of long vectors, fit twice."""

MOST_UNHEARD = 1 << 20
"""Bytes of a stream in which nothing is said: one event, or blank lines, or keep-alive signs."""

_PIECE = 1 << 16


class Listening:
    """How long a stream is listened to: `first` seconds until something is said, `between` until
    more is, `total` for all of it. Whoever reads it tells by `heard` that something was said.

    What goes wrong is raised as `broken` once that is set, else as the server being unreachable.
    """

    def __init__(self, first: float, between: float, total: float) -> None:
        self.broken: type[ProviderError] | None = None
        self.unheard = 0
        self._patience = first
        self._between = between
        self._total = total
        self._until = time.monotonic() + first
        self._end = time.monotonic() + total

    def heard(self) -> None:
        self._patience = self._between
        self._until = time.monotonic() + self._between
        self.unheard = 0

    @property
    def deadline(self) -> float:
        """In seconds of the monotonic clock."""
        return min(self._until, self._end)

    @property
    def silence(self) -> str:
        """What to say of the server when the time is over."""
        if self._end < self._until:
            return f"had not ended its answer after {_seconds(self._total)}"
        return f"said nothing for {_seconds(self._patience)}"


async def read_body(response: httpx.Response, provider: Provider) -> bytes:
    """All that a server answers.

    Raises:
        ProviderError: it is too much, or packed in a way that is not known.
    """
    content = bytearray()
    async with aclosing(_unpacked(response, provider)) as pieces:
        async for piece in pieces:
            content += piece
            if len(content) > LARGEST_BODY:
                raise ProviderError(
                    f"{provider.name} at {provider.url} sent more than "
                    f"{LARGEST_BODY >> 20} MB at once, and was not listened to any longer.",
                    "Is this the address of the right server?",
                )
    return bytes(content)


async def read_lines(
    response: httpx.Response, provider: Provider, listening: Listening
) -> AsyncGenerator[bytes]:
    """The lines of a stream, without their ends; only a line feed ends one.

    Raises:
        ProviderError: nothing was said for too long, in time or in bytes; or the stream broke.
    """
    waiting = bytearray()
    async with aclosing(_unpacked(response, provider)) as pieces:
        while True:
            with translated(provider, listening.silence, listening.broken):
                async with asyncio.timeout(max(0.0, listening.deadline - time.monotonic())):
                    piece = await anext(pieces, None)
            if piece is None:
                break
            # What has come already is looked at before the time, which is over for the rest of it.
            *lines, rest = piece.split(b"\n")
            for line in lines:
                waiting += line
                listening.unheard += len(line) + 1
                row = bytes(waiting)
                waiting.clear()
                yield row
            waiting += rest
            listening.unheard += len(rest)
            if listening.unheard > MOST_UNHEARD:
                raise (listening.broken or ProviderError)(
                    f"{provider.name} at {provider.url} sent more than {MOST_UNHEARD >> 20} MB "
                    "without saying anything, and was not listened to any longer.",
                    "Is this the address of the right server?",
                )
    if waiting:
        yield bytes(waiting)


async def _unpacked(response: httpx.Response, provider: Provider) -> AsyncGenerator[bytes]:
    """The body in pieces of bounded size, however well it was packed."""
    packing = response.headers.get("content-encoding", "").strip().lower()
    if packing not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise ProviderError(
            f"{provider.name} at {provider.url} packs its answers in a way that it was not asked "
            "for.",
            "A proxy in front of it may do so.",
        )
    unpack = None if packing in ("", "identity") else zlib.decompressobj(47)
    async for piece in response.aiter_raw():
        if unpack is None:
            yield piece
            continue
        try:
            while unpacked := unpack.decompress(piece, _PIECE):
                yield unpacked
                piece = unpack.unconsumed_tail
        except zlib.error as exc:
            raise ProviderUnreachable(
                f"The answer of {provider.name} at {provider.url} was damaged on its way.",
                "Try again; its log may say why.",
            ) from exc


def _seconds(seconds: float) -> str:
    if seconds >= 120:
        return f"{seconds / 60:g} minutes"
    return "1 second" if seconds == 1 else f"{seconds:g} seconds"
