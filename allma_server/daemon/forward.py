"""The program that editors and AI clients start: it forwards messages between them and the daemon.

Standard library only, to start fast. Messages pass unchanged; malformed ones are answered here, so
that the daemon receives only requests whose id is known. The forwarder records which daemon has
which request: each is answered once, by that daemon, or with an error if that daemon died. It also
records how the conversation began, and replays that to a new daemon.
"""

import json
import os
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Literal, NoReturn, cast

from allma_server.daemon.link import NoSockets, Refused, Unreachable, connect
from allma_server.daemon.replay import Beginning
from allma_server.protocols.faults import SERVER_ERROR, ErrorResponse, Message, fault
from allma_server.protocols.framing import Frames, Lines, Malformed, Piece, parse

Protocol = Literal["lsp", "mcp"]

LEAVING_SECONDS = 10.0
"""Seconds the daemon has to answer running requests after the client has left."""

UNREAD_BYTES = 1 << 23
"""Bytes buffered for a client that does not read, before the daemon has to wait."""

_BLOCK = 1 << 16

# The parameter that names the cancelled request.
_CANCELS = {"notifications/cancelled": "requestId", "$/cancelRequest": "id"}

# Not idempotent: repeating them would duplicate something, or undo a later change.
_NOT_REPEATABLE = {
    "ask",
    "forget",
    "conversations",
    "conversations.rename",
    "conversations.delete",
    "models",
    "models.use",
    "models.pull",
    "models.delete",
    "shutdown",
}


def forward(protocol: Protocol, data: Path, hello: Mapping[str, object]) -> NoReturn:
    """Forward messages between standard input/output and the daemon, then end the process.

    Raises:
        NoSockets: sockets cannot be used here; no message has been read from the client yet.
    """
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if number := getattr(signal, name, None):
            signal.signal(number, _end_at_once)
    if sys.platform != "win32":
        # A parent may pass its pipes in non-blocking mode; the threads here block on them.
        os.set_blocking(0, True)
        os.set_blocking(1, True)
    forwarder = _Forwarder(protocol, data, {**hello, "protocol": protocol})
    try:
        forwarder.dial()
    except NoSockets:
        raise
    except (Unreachable, OSError) as exc:
        warn(f"{exc}; retrying with the first request")
    os._exit(forwarder.run())


def _end_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(0)


class _Output:
    """Messages for the client, written by a thread of their own: a client may read slowly."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._size = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._write, daemon=True).start()

    def put(self, message: bytes, link: "_Link | None" = None) -> None:
        """Add a message; block while `UNREAD_BYTES` are waiting.

        The last messages of a daemon that died are added at once: they are few, and its requests
        are repeated only after them.
        """
        with self._changed:
            while self._size > UNREAD_BYTES and (link is None or link.alive):
                self._changed.wait()
            self._messages.append(message)
            self._size += len(message)
            self._changed.notify_all()

    def wake(self) -> None:
        """Let blocked callers check again whether their daemon is alive."""
        with self._changed:
            self._changed.notify_all()

    def flush(self, seconds: float) -> None:
        """Wait until everything is written, at most `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._size, seconds)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._messages)
                message = self._messages.popleft()
            view = memoryview(message)
            try:
                while view:
                    view = view[os.write(1, view) :]
            except OSError:
                os._exit(0)  # the client no longer reads
            with self._changed:
                self._size -= len(message)
                self._changed.notify_all()


class _Request:
    """A request sent to a daemon; `repeated`: an earlier daemon died before it answered."""

    __slots__ = ("body", "message", "repeated")

    def __init__(self, message: Message, body: bytes) -> None:
        self.message = message
        self.body = body
        self.repeated = False


class _Link:
    """A connection to one daemon, with its unanswered requests.

    `number` counts the daemons of this client from 0. Their requests to the client may have equal
    ids; from the second daemon on the ids get the number as a prefix, which the answers return.
    """

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.socket = sock
        self.number = number
        self.alive = True
        self.pending: dict[str, list[_Request]] = {}

    def add(self, request: _Request) -> None:
        self.pending.setdefault(_key(request.message.get("id")), []).append(request)

    def take(self, id: object) -> _Request | None:
        """Remove and return the request that a response answers; None if it is not pending."""
        waiting = self.pending.get(_key(id))
        if not waiting:
            return None
        request = waiting.pop(0)
        if not waiting:
            del self.pending[_key(id)]
        return request

    def take_all(self) -> list[_Request]:
        """Remove and return the pending requests, in their order."""
        rest = [request for waiting in self.pending.values() for request in waiting]
        self.pending.clear()
        return rest

    def with_prefixed_id(self, message: Message, body: bytes) -> bytes:
        """Return a request or notification of the daemon, with the ids that the client sees."""
        if "id" in message:
            message = {**message, "id": self._prefixed(message["id"])}
        elif (name := _CANCELS.get(message.get("method", ""))) is not None:
            params = message.get("params")
            known = cast(dict[str, object], params) if isinstance(params, dict) else {}
            message = {**message, "params": {**known, name: self._prefixed(known.get(name))}}
        else:
            return body
        return json.dumps(message).encode()

    def _prefixed(self, id: object) -> str:
        return f"{self.number}:{_key(id)}"

    def own_id(self, id: object) -> object:
        """Return the daemon's id without the prefix; None if another daemon sent the request."""
        number, _, known = str(id).partition(":")
        if number != str(self.number):
            return None
        try:
            return json.loads(known)
        except ValueError:
            return None


class _Forwarder:
    def __init__(self, protocol: Protocol, data: Path, hello: Mapping[str, object]) -> None:
        self._framing = Lines if protocol == "mcp" else Frames
        self._data = data
        self._hello = hello
        self._output = _Output()
        self._beginning = Beginning()
        self._link: _Link | None = None
        self._links = 0
        # `_send_lock` is held to send or to connect, `_pending_lock` for the pending requests.
        self._send_lock = threading.Lock()
        self._pending_lock = threading.Lock()
        self._shutdown = self._exited = self._leaving = False
        self._ended = threading.Event()

    def dial(self, *requests: _Request) -> _Link:
        """Connect, replay the beginning, and start to forward what the daemon sends.

        `requests` become pending at the new daemon; of them, only the beginning is sent here.
        """
        link = _Link(connect(self._data, self._hello), self._links)
        self._links += 1
        for request in requests:
            link.add(request)
        for body in self._beginning.bodies():
            link.socket.sendall(self._framing.frame(body))
        self._link = link
        threading.Thread(target=self._listen, args=(link,), daemon=True).start()
        return link

    def run(self) -> int:
        """Forward the client's messages until it leaves; return the exit status."""
        framing = self._framing()
        while data := _read(0):
            for piece in framing.feed(data):
                self._take(piece)
            if self._ended.is_set():
                break
        for piece in framing.close():
            self._take(piece)
        self._leave()
        return 1 if self._exited and not self._shutdown else 0

    def _leave(self) -> None:
        with self._send_lock:
            self._leaving = True
            link = self._link
        if link is not None:
            try:
                link.socket.shutdown(socket.SHUT_WR)
                self._ended.wait(LEAVING_SECONDS)
            except OSError:
                pass  # the daemon has ended; its last answers are still to be written
        self._output.flush(LEAVING_SECONDS)

    # --- from the client --------------------------------------------------------------------

    def _take(self, piece: Piece) -> None:
        message = piece if isinstance(piece, Malformed) else parse(piece)
        if isinstance(message, Malformed):
            for response in message.responses:
                self._put(response)
            return
        assert not isinstance(piece, Malformed)
        method = message.get("method")
        self._shutdown = self._shutdown or method == "shutdown"
        self._exited = self._exited or method == "exit"
        with self._send_lock:
            if method == "exit" and self._link is None:
                self._end()
            replayed = self._beginning.record(message, piece)
            self._forward(message, piece, replayed)

    def _forward(self, message: Message, body: bytes, replayed: bool) -> None:
        """`replayed`: a new daemon gets the message with the beginning."""
        request = _Request(message, body) if "method" in message and "id" in message else None
        link, is_new = self._link, False
        if link is None:
            try:
                link, is_new = self.dial(*([request] if request else [])), True
            except (Unreachable, OSError) as exc:
                if request is not None:
                    self._fail(request, *_why(exc))
                return
        elif request is not None:
            with self._pending_lock:
                link.add(request)
        if "method" not in message:
            if (answer := self._answer_for(link, message, body)) is None:
                return
            body = answer
        elif message["method"] == "notifications/cancelled" and request is None:
            # A cancelled MCP request is never answered.
            with self._pending_lock:
                link.take(_member(message.get("params"), "requestId"))
        if not (is_new and replayed):
            self._send(link, body)

    def _send(self, link: _Link, body: bytes) -> None:
        try:
            link.socket.sendall(self._framing.frame(body))
        except OSError:
            # Its listening thread forwards the last answers, then handles what is pending.
            link.alive = False
            self._output.wake()
            if self._link is link:
                self._link = None

    def _answer_for(self, link: _Link, message: Message, body: bytes) -> bytes | None:
        """Return the client's response with the daemon's own id; None if another daemon asked."""
        if not link.number:
            return body
        id = link.own_id(message.get("id"))
        return None if id is None else json.dumps({**message, "id": id}).encode()

    # --- from the daemon --------------------------------------------------------------------

    def _listen(self, link: _Link) -> None:
        framing = self._framing()
        try:
            while data := link.socket.recv(_BLOCK):
                for piece in framing.feed(data):
                    self._deliver(link, piece)
        except OSError:
            pass
        link.alive = False
        with self._send_lock:
            if self._link is link:
                self._link = None
            continues = not (self._leaving or self._exited)
            if continues:
                self._resume(link)
        link.socket.close()
        if continues:
            return
        with self._pending_lock:
            rest = link.take_all()
        for request in rest:
            self._fail(request, "The connection was closed before the response.")
        self._ended.set()
        if self._exited:
            self._end()

    def _end(self) -> NoReturn:
        """End the process with the status that `exit` asks for."""
        self._output.flush(LEAVING_SECONDS)
        os._exit(0 if self._shutdown else 1)

    def _deliver(self, link: _Link, piece: Piece) -> None:
        if isinstance(piece, Malformed):
            return  # a message of the daemon that exceeds the limit
        message = _loaded(piece)
        id = message.get("id")
        if "method" in message:
            if link.number:
                piece = link.with_prefixed_id(message, piece)
        elif id is not None:
            with self._pending_lock:
                request = link.take(id)
            if request is None:
                return  # the response to the replayed handshake
            self._beginning.answered(request.message, message)
        self._output.put(self._framing.frame(piece), link)

    def _resume(self, died: _Link) -> None:
        """Repeat each repeatable request once to a new daemon; answer the others with an error.

        A request that was already repeated may be what kills the daemon.
        """
        again: list[_Request] = []
        with self._pending_lock:
            rest = died.take_all()
        for request in rest:
            if not request.repeated and _is_repeatable(request.message):
                request.repeated = True
                again.append(request)
            else:
                self._fail(
                    request,
                    "The engine stopped before it answered.",
                    "It will be started again with the next request.",
                )
        if again:
            self._repeat(again)

    def _repeat(self, requests: list[_Request]) -> None:
        link, is_new = self._link, False
        try:
            if link is None:
                link, is_new = self.dial(*requests), True
        except (Unreachable, OSError) as exc:
            for request in requests:
                self._fail(request, *_why(exc))
            return
        if not is_new:
            with self._pending_lock:
                for request in requests:
                    link.add(request)
        for request in requests:
            if not (is_new and self._beginning.has(request.body)):
                self._send(link, request.body)

    # --- answers of the forwarder -----------------------------------------------------------

    def _fail(self, request: _Request, sentence: str, hint: str | None = None) -> None:
        failure = fault(SERVER_ERROR, "engine_stopped", sentence, hint)
        self._put(failure.response(request.message.get("id")))

    def _put(self, message: ErrorResponse) -> None:
        self._output.put(self._framing.frame(json.dumps(message).encode()))


def _why(exc: Exception) -> tuple[str, str | None]:
    if isinstance(exc, Refused):
        return str(exc), exc.hint
    return f"Cannot start the engine: {exc}.", None


def _is_repeatable(message: Message) -> bool:
    """Return whether a request can be repeated: not questions, which are stored, and changes."""
    params = message.get("params")
    operation = _member(params, "name") or _member(params, "command") or message.get("method")
    return str(operation).rpartition("allma.")[2].rpartition("allma/")[2] not in _NOT_REPEATABLE


def _member(value: object, name: str) -> object:
    return cast(dict[str, object], value).get(name) if isinstance(value, dict) else None


def _key(id: object) -> str:
    """Return the dictionary key of an id: 1 and "1" are different."""
    return json.dumps(id)


def _loaded(body: bytes) -> Message:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast(Message, value) if isinstance(value, dict) else {}


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _BLOCK)
    except OSError:
        return b""


def warn(sentence: str) -> None:
    """Write a sentence to stderr, which clients show in their logs."""
    sys.stderr.write(f"allma: {sentence}\n")
    sys.stderr.flush()
