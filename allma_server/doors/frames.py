"""Messages out of a byte stream, for both framings; what is no message is told apart from its end.

Nothing a client sends may leave it waiting: whatever cannot be read is answered, with the
request's id where one can be made out.
"""

import asyncio
import json
import re
from dataclasses import dataclass
from typing import Any, cast

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602

LARGEST_MESSAGE = 1 << 26
"""Bytes of the largest message that is read, 64 MiB."""

_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,18})[ \t]*\r?\n\Z", re.I)


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no message. `final`: where the next one would begin is not known."""

    code: int
    message: str
    id: int | str | None = None
    final: bool = False

    @property
    def answer(self) -> dict[str, Any]:
        """The JSON-RPC error that answers it."""
        return {
            "jsonrpc": "2.0",
            "id": self.id,
            "error": {"code": self.code, "message": self.message},
        }


async def read_line(reader: asyncio.StreamReader) -> bytes | Malformed | None:
    """The next line that is not blank; None at the end of the input.

    A line beyond the reader's limit is malformed and final: its rest cannot be told from a message.
    """
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as exc:
            line = exc.partial
            if not line:
                return None
        except asyncio.LimitOverrunError:
            return Malformed(INVALID_REQUEST, "The message is too long.", final=True)
        except ConnectionError:
            return None
        if line.strip():
            return line


async def read_frame(reader: asyncio.StreamReader) -> bytes | Malformed | None:
    """The next body with a Content-Length header; None at the end of the input.

    After a wrong length the rest of a body stands where a header should; it is skipped up to the
    next header, which may begin in the middle of a line.
    """
    length: int | None = None
    began = False
    while True:
        try:
            header = await reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except asyncio.LimitOverrunError:
            return Malformed(PARSE_ERROR, "There is no Content-Length header.", final=True)
        if found := _LENGTH.search(header):
            length = int(found[1])
        elif not header.strip():
            if length is not None:
                return await _body(reader, length)
            if began:
                return Malformed(PARSE_ERROR, "The Content-Length header is missing or no number.")
        began = True


async def _body(reader: asyncio.StreamReader, length: int) -> bytes | Malformed | None:
    try:
        if length <= LARGEST_MESSAGE:
            return await reader.readexactly(length)
        while length > 0:
            length -= len(await reader.readexactly(min(length, 1 << 16)))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Malformed(INVALID_REQUEST, f"Messages may have {LARGEST_MESSAGE} bytes at most.")


def parse(body: bytes) -> dict[str, Any] | Malformed:
    """The JSON-RPC message in `body`: a request, notification or response of the right shape."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return Malformed(PARSE_ERROR, "The message is not valid JSON.")
    if not isinstance(value, dict):
        batch = isinstance(value, list)
        return Malformed(
            INVALID_REQUEST, "Batches are not supported." if batch else "A message is an object."
        )
    message = cast(dict[str, Any], value)
    method, id = message.get("method"), message.get("id")
    known = id if isinstance(id, int | str) and not isinstance(id, bool) else None
    if message.get("jsonrpc") != "2.0":
        return Malformed(INVALID_REQUEST, 'A message has "jsonrpc": "2.0".', known)
    if "id" in message and known is None and "error" not in message:
        return Malformed(INVALID_REQUEST, "An id is a string or an integer.")
    if method is None and not ("id" in message and ("result" in message or "error" in message)):
        return Malformed(INVALID_REQUEST, "A message has a method, a result or an error.", known)
    if method is not None and not isinstance(method, str):
        return Malformed(INVALID_REQUEST, "A method is a string.", known)
    if not isinstance(message.get("params", {}), dict | list | None):
        return Malformed(INVALID_PARAMS, "Parameters are an object or an array.", known)
    return message
