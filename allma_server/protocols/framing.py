"""Messages out of a byte stream, in both framings; what is no message is told apart from its end.

Nothing a client sends may leave it waiting: whatever cannot be read is answered, with the
request's id where one can be made out. Buffers are bounded and every byte is looked at once.
Standard library only, without asyncio: forwarders use this too.
"""

import json
import re
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    import asyncio

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
INVALID_PARAMS = -32602

LARGEST_MESSAGE = 1 << 26
"""Bytes of the largest message with a header, 64 MiB: editors send whole files."""

LARGEST_LINE = 1 << 24
"""Bytes of the largest message on a line, 16 MiB."""

DEEPEST = 100
"""Levels of objects and arrays in a message; what handles it afterwards recurses."""

_LARGEST_HEADER = 1 << 14
_LARGEST_SKIP = 1 << 30
"""A message announced as larger than this is not waited for."""

_MOST_IDS = 100
"""Answers to one batch."""

_BLOCK = 1 << 16
_KEPT_TAIL = 1 << 12

Id = int | str

_HEADER_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"content-length:[ \t]*([^\r\n]*)\r?\n", re.I)
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.S)
_SCALAR = rb'\s*:\s*("[^"\\]{0,200}"|-?\d{1,40})\s*'
_FIRST_ID = re.compile(_SCALAR + rb"[,}]")
_LAST_ID = re.compile(rb'(?<!\\)"id"' + _SCALAR + rb"\}\s*\Z")

_SURROGATE = re.compile("[\ud800-\udfff]")


class Malformed(NamedTuple):
    """Bytes that are no message. `ids`: of the requests that are answered by it."""

    code: int
    message: str
    ids: tuple[Id | None, ...] = (None,)

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The JSON-RPC errors that answer it."""
        error = {"code": self.code, "message": self.message}
        return [{"jsonrpc": "2.0", "id": id, "error": error} for id in self.ids]


Piece = bytes | Malformed
"""The body of a message, or what cannot be one."""


class Framing(Protocol):
    """Cuts a byte stream into messages."""

    def feed(self, data: bytes) -> list[Piece]:
        """What is complete now."""
        ...

    def close(self) -> list[Piece]:
        """What the end of the stream completes."""
        ...

    @staticmethod
    def frame(body: bytes) -> bytes:
        """A message as it is sent."""
        ...


class Lines:
    """One message a line, as MCP has it."""

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
            return [skipped.told(self._limit)]
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
    """Bodies with a Content-Length header, as LSP has it.

    After a wrong length the rest of a body stands where a header should; it is passed over up to
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
        return [skipped.told(self._limit)] if skipped is not None else []

    @staticmethod
    def frame(body: bytes) -> bytes:
        return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)

    def _next(self) -> list[Piece] | None:
        """What the buffer's beginning is; None when more bytes are needed to tell."""
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
        """Told once until there is a header again: what is between them is anything."""
        told, self._lost = self._lost, True
        if told:
            return []
        return [Malformed(PARSE_ERROR, "The Content-Length header is missing or no number.")]

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


class _Skipped:
    """A message that is too large to keep: its size, and where its id may stand."""

    def __init__(self) -> None:
        self.size = 0
        self._head = bytearray()
        self._tail = b""

    def add(self, part: bytes) -> None:
        self.size += len(part)
        self._head += part[: max(0, _BLOCK - len(self._head))]
        self._tail = (self._tail + part[-_KEPT_TAIL:])[-_KEPT_TAIL:]

    def told(self, limit: int) -> Malformed:
        return _too_large(self.size, limit, _found_id(bytes(self._head), self._tail))


def _too_large(size: int, limit: int, id: Id | None) -> Malformed:
    sentence = f"The message has {size:,} bytes; at most {limit:,} are taken."
    return Malformed(INVALID_REQUEST, sentence, (id,))


def _found_id(head: bytes, tail: bytes) -> Id | None:
    """The id of a request that cannot be parsed; None where it does not stand at the top level."""
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


def parse(body: bytes) -> dict[str, Any] | Malformed:
    """The JSON-RPC message in `body`: a request, notification or response of the right shape."""
    try:
        value = _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        id = _found_id(body[: 16 * _BLOCK], body[-_KEPT_TAIL:])
        why = _TOO_DEEP if _is_deep(body) else "The message is not valid JSON."
        return Malformed(PARSE_ERROR, why, (id,))
    if isinstance(value, list):
        return _batch(cast(list[Any], value))
    if not isinstance(value, dict):
        return Malformed(INVALID_REQUEST, "A message is an object.")
    message = cast(dict[str, Any], value)
    if (wrong := _wrong(message)) is not None:
        return Malformed(*wrong, (_known_id(message),))
    return message


def _wrong(message: dict[str, Any]) -> tuple[int, str] | None:
    """What keeps an object from being a message: the error's code and sentence."""
    method, id = message.get("method"), _known_id(message)
    if _depth_exceeds(message, DEEPEST):
        return INVALID_REQUEST, _TOO_DEEP
    if message.get("jsonrpc") != "2.0":
        return INVALID_REQUEST, 'A message has "jsonrpc": "2.0".'
    if "id" in message and id is None:
        # Only an error that answers something unreadable may have null.
        if message["id"] is not None or "error" not in message or method is not None:
            return INVALID_REQUEST, "An id is a string or an integer."
    if method is None and not ("id" in message and ("result" in message or "error" in message)):
        return INVALID_REQUEST, "A message has a method, a result or an error."
    if method is not None and not isinstance(method, str):
        return INVALID_REQUEST, "A method is a string."
    if not isinstance(message.get("params", {}), dict | list | None):
        return INVALID_PARAMS, "Parameters are an object or an array."
    return None


def _batch(messages: list[Any]) -> Malformed:
    objects = [cast(dict[str, Any], m) for m in messages if isinstance(m, dict)]
    ids = tuple(_known_id(message) for message in objects if "id" in message)
    sentence = "Batches are not supported: send each message by itself."
    return Malformed(INVALID_REQUEST, sentence, ids[:_MOST_IDS] or (None,))


def _known_id(message: dict[str, Any]) -> Id | None:
    id = message.get("id")
    if isinstance(id, str):
        # Half a surrogate pair has no UTF-8 form, so no answer could carry it.
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
        return cast(dict[str, Any], value).values()
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
_TOO_DEEP = f"Messages may be nested {DEEPEST} levels deep at most."


class Messages:
    """The messages of one connection, in their order."""

    def __init__(self, reader: "asyncio.StreamReader", framing: Framing) -> None:
        self._reader = reader
        self._framing = framing
        self._pieces: deque[Piece] = deque()
        self._ended = False

    async def next(self) -> dict[str, Any] | Malformed | None:
        """The next message; None at the end of the input."""
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
