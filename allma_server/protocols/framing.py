"""JSON-RPC messages from a byte stream, in the framings of LSP and MCP.

No client may wait for ever for an answer: bytes that cannot be read as a message get an error,
with the request's id if one can be found. Buffers are bounded, and every byte is scanned once.
Standard library only, without asyncio: forwarders use this too.
"""

import json
import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from allma_server.protocols.faults import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorResponse,
    Fault,
    Id,
    Message,
)

if TYPE_CHECKING:
    import asyncio

LARGEST_MESSAGE = 1 << 26
"""Bytes of the largest message with a header, 64 MiB: editors send whole files."""

LARGEST_LINE = 1 << 24
"""Bytes of the largest message on a line, 16 MiB."""

DEEPEST = 100
"""Nested levels of a message; the code that handles it recurses."""

_LARGEST_HEADER = 1 << 14
_LARGEST_SKIP = 1 << 30
"""Bytes of the longest message that is skipped; of a longer one, the end is not waited for."""

_MOST_IDS = 100
"""Errors that answer one batch."""

_BLOCK = 1 << 16
_KEPT_TAIL = 1 << 12

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"content-length:[ \t]*([^\r\n]*)\r?\n", re.I)
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.S)
_SCALAR = rb'\s*:\s*("[^"\\]{0,200}"|-?\d{1,40})\s*'
_FIRST_ID = re.compile(_SCALAR + rb"[,}]")
_LAST_ID = re.compile(rb'(?<!\\)"id"' + _SCALAR + rb"\}\s*\Z")

_SURROGATE = re.compile("[\ud800-\udfff]")


class Malformed(NamedTuple):
    """Bytes that are not a message. `ids`: the requests that the fault answers."""

    fault: Fault
    ids: tuple[Id | None, ...] = (None,)

    @property
    def responses(self) -> list[ErrorResponse]:
        """The JSON-RPC error responses."""
        return [self.fault.response(id) for id in self.ids]


Piece = bytes | Malformed
"""The body of a message, or bytes that cannot be one."""


class Framing(Protocol):
    """Cuts a byte stream into messages."""

    def feed(self, data: bytes) -> list[Piece]:
        """Add bytes; return the pieces that are now complete."""
        ...

    def close(self) -> list[Piece]:
        """Return the pieces that the end of the stream completes."""
        ...

    @staticmethod
    def frame(body: bytes) -> bytes:
        """Return the bytes that carry a message."""
        ...


class Lines:
    """One message a line, as in MCP."""

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit or LARGEST_LINE
        self._buffer = bytearray()
        self._skipped: _Skipped | None = None

    def feed(self, data: bytes) -> list[Piece]:
        found: list[Piece] = []
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._add(part)
            found += self.close()
        self._add(rest)
        return found

    def close(self) -> list[Piece]:
        if self._skipped is not None:
            skipped, self._skipped = self._skipped, None
            return [skipped.malformed(self._limit)]
        line = bytes(self._buffer)
        self._buffer.clear()
        return [line] if line.strip() else []

    def _add(self, part: bytes) -> None:
        if self._skipped is not None:
            self._skipped.add(part)
            return
        self._buffer += part
        if len(self._buffer) > self._limit:
            self._skipped = _Skipped()
            self._skipped.add(bytes(self._buffer))
            self._buffer.clear()

    @staticmethod
    def frame(body: bytes) -> bytes:
        return body + b"\n"


class Frames:
    """Bodies with a Content-Length header, as in LSP.

    After a wrong length, the rest of a body is found where a header should be. It is skipped up to
    the next header, which may begin in the middle of a line.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit or LARGEST_MESSAGE
        self._buffer = bytearray()
        self._searched = 0
        self._length: int | None = None
        self._skipped: _Skipped | None = None
        self._lost = False

    def feed(self, data: bytes) -> list[Piece]:
        self._buffer += data
        found: list[Piece] = []
        while (pieces := self._next()) is not None:
            found += pieces
        return found

    def close(self) -> list[Piece]:
        skipped, self._skipped = self._skipped, None
        return [skipped.malformed(self._limit)] if skipped is not None else []

    @staticmethod
    def frame(body: bytes) -> bytes:
        return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)

    def _next(self) -> list[Piece] | None:
        """Return the pieces at the start of the buffer; None when more bytes are needed."""
        if self._length is None:
            return self._header()
        if self._skipped is not None:
            part = self._take(min(self._length, len(self._buffer)))
            self._skipped.add(part)
            self._length -= len(part)
            if self._length:
                return None
            self._length = None
            return self.close()
        if len(self._buffer) < self._length:
            return None
        body, self._length = self._take(self._length), None
        return [body]

    def _header(self) -> list[Piece] | None:
        end = _HEADER_END.search(self._buffer, self._searched)
        if end is None:
            if len(self._buffer) <= _LARGEST_HEADER:
                self._searched = max(0, len(self._buffer) - 3)
                return None
            self._take(len(self._buffer) - _KEPT_TAIL)
            self._searched = max(0, len(self._buffer) - 3)
            return self._no_header() or None
        header = self._take(end.end())
        self._searched = 0
        lengths = _LENGTH.findall(header)
        if not header.strip() and not lengths:
            return []
        length = lengths[-1].strip() if lengths else b""
        if not length.isdigit() or len(length) > 18:
            return self._no_header()
        self._lost = False
        return self._begin(int(length))

    def _begin(self, length: int) -> list[Piece]:
        if length > _LARGEST_SKIP:
            self._lost = True
            return [_too_large(length, self._limit, None)]
        self._length = length
        if length > self._limit:
            self._skipped = _Skipped()
        return []

    def _no_header(self) -> list[Piece]:
        """One error until the next header, whatever is between them."""
        reported, self._lost = self._lost, True
        if reported:
            return []
        return [_malformed(PARSE_ERROR, "The Content-Length header is missing or not a number.")]

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


class _Skipped:
    """A message that is too large to keep: its size, and the parts that may contain its id."""

    def __init__(self) -> None:
        self.size = 0
        self._head = bytearray()
        self._tail = b""

    def add(self, part: bytes) -> None:
        self.size += len(part)
        self._head += part[: max(0, _BLOCK - len(self._head))]
        self._tail = (self._tail + part[-_KEPT_TAIL:])[-_KEPT_TAIL:]

    def malformed(self, limit: int) -> Malformed:
        return _too_large(self.size, limit, _found_id(bytes(self._head), self._tail))


def _too_large(size: int, limit: int, id: Id | None) -> Malformed:
    sentence = f"The message has {size:,} bytes; the limit is {limit:,}."
    return _malformed(INVALID_REQUEST, sentence, id)


def _malformed(code: int, sentence: str, *ids: Id | None) -> Malformed:
    return Malformed(Fault(code, sentence), ids or (None,))


def _found_id(head: bytes, tail: bytes) -> Id | None:
    """Return the id of a request that cannot be parsed; None if it has none at the top level."""
    depth = 0
    for token in _TOKEN.finditer(head):
        match token[0]:
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
            case b'"id"' if depth == 1 and (value := _FIRST_ID.match(head, token.end())):
                return _scalar(value[1])
            case _:
                pass
    last = _LAST_ID.search(tail)
    return _scalar(last[1]) if last else None


def _scalar(text: bytes) -> Id | None:
    try:
        return json.loads(text)
    except ValueError:
        return None


def parse(body: bytes) -> Message | Malformed:
    """Parse a JSON-RPC message: a request, notification or response of the right shape."""
    try:
        value = _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        id = _found_id(body[: 16 * _BLOCK], body[-_KEPT_TAIL:])
        why = _TOO_DEEP if _is_deep(body) else "The message is not valid JSON."
        return _malformed(PARSE_ERROR, why, id)
    if isinstance(value, list):
        return _batch(cast(list[Any], value))
    if not isinstance(value, dict):
        return _malformed(INVALID_REQUEST, "A message must be an object.")
    message = cast(dict[str, object], value)
    if (wrong := _wrong(message)) is not None:
        return Malformed(wrong, (_known_id(message),))
    return cast(Message, message)


def _wrong(message: Mapping[str, object]) -> Fault | None:
    """Why an object is not a message; None if it is one."""
    method, id = message.get("method"), _known_id(message)
    if _depth_exceeds(message, DEEPEST):
        return Fault(INVALID_REQUEST, _TOO_DEEP)
    if message.get("jsonrpc") != "2.0":
        return Fault(INVALID_REQUEST, 'A message must have "jsonrpc": "2.0".')
    if "id" in message and id is None:
        # Null is valid only in an error that answers an unreadable message.
        if message["id"] is not None or "error" not in message or method is not None:
            return Fault(INVALID_REQUEST, "An id must be a string or an integer.")
    if method is None and not ("id" in message and ("result" in message or "error" in message)):
        return Fault(INVALID_REQUEST, "A message must have a method, a result or an error.")
    if method is not None and not isinstance(method, str):
        return Fault(INVALID_REQUEST, "A method must be a string.")
    if not isinstance(message.get("params", {}), dict | list | None):
        return Fault(INVALID_PARAMS, "Parameters must be an object or an array.")
    return None


def _batch(messages: list[Any]) -> Malformed:
    objects = [cast(dict[str, object], m) for m in messages if isinstance(m, dict)]
    ids = tuple(_known_id(message) for message in objects if "id" in message)
    sentence = "Batches are not supported: send each message separately."
    return _malformed(INVALID_REQUEST, sentence, *ids[:_MOST_IDS])


def _known_id(message: Mapping[str, object]) -> Id | None:
    id = message.get("id")
    if isinstance(id, str):
        # A lone surrogate has no UTF-8 form, so no response could carry it.
        return id if id.isascii() or not _SURROGATE.search(id) else None
    return id if isinstance(id, int) and not isinstance(id, bool) else None


def _depth_exceeds(value: Any, limit: int) -> bool:
    level: list[Any] = [value]
    for _ in range(limit):
        parts = [part for parent in level for part in _parts(parent)]
        level = list(filter(_is_container, parts))
        if not level:
            return False
    return True


def _is_container(value: Any) -> bool:
    return isinstance(value, dict | list)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast(dict[str, object], value).values()
    return cast(list[Any], value)


def _is_deep(body: bytes) -> bool:
    depth = deepest = 0
    for token in _TOKEN.finditer(body[: 16 * _BLOCK]):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token[0], 0)
        deepest = max(deepest, depth)
    return deepest > DEEPEST


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
_TOO_DEEP = f"A message may be nested at most {DEEPEST} levels deep."


class Messages:
    """The messages of one connection, in order."""

    def __init__(self, reader: "asyncio.StreamReader", framing: Framing) -> None:
        self._reader = reader
        self._framing = framing
        self._pieces: deque[Piece] = deque()
        self._ended = False

    async def next(self) -> Message | Malformed | None:
        """Return the next message; None at the end of the input."""
        while not self._pieces:
            if self._ended:
                return None
            try:
                data = await self._reader.read(_BLOCK)
            except ConnectionError:
                data = b""
            self._ended = not data
            self._pieces.extend(self._framing.feed(data) if data else self._framing.close())
        piece = self._pieces.popleft()
        return piece if isinstance(piece, Malformed) else parse(piece)
