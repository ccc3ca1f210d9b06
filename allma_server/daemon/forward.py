"""What editors and AI clients start: there at once, and passing on what both sides say.

Standard library only. Messages pass as they are; what is no message is answered here, so that
whatever reaches the daemon is a request that it knows the id of. The forwarder keeps which engine
has which request: each is answered once, by the engine that has it, or with an error when that
engine has died. It also keeps how the conversation began, which a new daemon is told again.
"""

import json
import os
import signal
import socket
import sys
import threading
from collections import deque
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn, cast

from allma_server.daemon.link import NoSockets, Refused, Unreachable, connect
from allma_server.daemon.replay import Beginning
from allma_server.protocols.framing import Frames, Lines, Malformed, Piece, parse

Door = Literal["lsp", "mcp"]
Message = dict[str, Any]

LEAVING_SECONDS = 10.0
"""How long the daemon may take to answer what is under way after the client has left."""

UNREAD_BYTES = 1 << 23
"""Bytes kept for a client that does not read, before the daemon is made to wait."""

_BLOCK = 1 << 16

# Where a daemon names the request that it takes back.
_CANCELS = {"notifications/cancelled": "requestId", "$/cancelRequest": "id"}

# Doing these twice would leave two of something, or undo what came between.
_ONCE = {
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


def forward(door: Door, data: Path, hello: dict[str, Any]) -> NoReturn:
    """Passes on what is said between standard input/output and the daemon, then ends the process.

    Raises:
        NoSockets: nothing can be shared here; nothing has been read from the client then.
    """
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if number := getattr(signal, name, None):
            signal.signal(number, _end_at_once)
    if sys.platform != "win32":
        # A parent may hand over its pipes in non-blocking mode; our threads want to wait.
        os.set_blocking(0, True)
        os.set_blocking(1, True)
    forwarder = _Forwarder(door, data, {**hello, "door": door})
    try:
        forwarder.dial()
    except NoSockets:
        raise
    except (Unreachable, OSError) as exc:
        warn(f"{exc}; it is tried again with the first request")
    os._exit(forwarder.run())


def _end_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(0)


class _Output:
    """Messages for the client, written by a thread, so that one that does not read stops nobody."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._size = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._write, daemon=True).start()

    def put(self, message: bytes, link: "_Link | None" = None) -> None:
        """Takes a message; while too much waits, it has to wait too.

        What has come from a daemon that died does not: it is little, and somebody waits for the
        end of it.
        """
        with self._changed:
            while self._size > UNREAD_BYTES and (link is None or link.alive):
                self._changed.wait()
            self._messages.append(message)
            self._size += len(message)
            self._changed.notify_all()

    def wake(self) -> None:
        """Has who waits look again whether its daemon lives."""
        with self._changed:
            self._changed.notify_all()

    def flush(self, seconds: float) -> None:
        """Returns when all is written, or the time is up."""
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
                os._exit(0)  # nobody listens any more
            with self._changed:
                self._size -= len(message)
                self._changed.notify_all()


class _Request:
    """A request that an engine has; `repeated`: another engine has died with it."""

    __slots__ = ("body", "message", "repeated")

    def __init__(self, message: Message, body: bytes) -> None:
        self.message = message
        self.body = body
        self.repeated = False


class _Link:
    """A connection to one daemon, with the requests that it has not answered.

    `number` counts the daemons of this client from 0. Their own requests to the client may have
    the same ids; from the second on they are given the number, which their answers carry back.
    """

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.socket = sock
        self.number = number
        self.alive = True
        self.asked: dict[str, list[_Request]] = {}

    def asks(self, request: _Request) -> None:
        self.asked.setdefault(_key(request.message["id"]), []).append(request)

    def answered(self, id: object) -> _Request | None:
        """The request that an answer is for; None when this engine does not have it."""
        waiting = self.asked.get(_key(id))
        if not waiting:
            return None
        request = waiting.pop(0)
        if not waiting:
            del self.asked[_key(id)]
        return request

    def rest(self) -> list[_Request]:
        """Takes all that is not answered, in its order."""
        rest = [request for waiting in self.asked.values() for request in waiting]
        self.asked.clear()
        return rest

    def renamed(self, message: Message, body: bytes) -> bytes:
        """What the daemon says by itself, with the ids of its requests as the client knows them."""
        if "id" in message:
            message = {**message, "id": self._own(message["id"])}
        elif (name := _CANCELS.get(message["method"])) is not None:
            params = message.get("params")
            known = cast(Message, params) if isinstance(params, dict) else {}
            message = {**message, "params": {**known, name: self._own(known.get(name))}}
        else:
            return body
        return json.dumps(message).encode()

    def _own(self, id: object) -> str:
        return f"{self.number}:{_key(id)}"

    def meant(self, id: object) -> object:
        """The id of the daemon's request that is answered; None when it is of another one."""
        number, _, known = str(id).partition(":")
        if number != str(self.number):
            return None
        try:
            return json.loads(known)
        except ValueError:
            return None


class _Forwarder:
    def __init__(self, door: Door, data: Path, hello: dict[str, Any]) -> None:
        self._framing = Lines if door == "mcp" else Frames
        self._data = data
        self._hello = hello
        self._output = _Output()
        self._beginning = Beginning()
        self._link: _Link | None = None
        self._links = 0
        # `_sending` is held while something is sent or dialled, `_known` only to look and note.
        self._sending = threading.Lock()
        self._known = threading.Lock()
        self._shutdown = self._exited = self._leaving = False
        self._ended = threading.Event()

    def dial(self, *requests: _Request) -> _Link:
        """Connects, tells the beginning again, and starts passing answers on.

        `requests` are the new engine's, though only those of the beginning are sent here.
        """
        link = _Link(connect(self._data, self._hello), self._links)
        self._links += 1
        for request in requests:
            link.asks(request)
        for body in self._beginning.bodies():
            link.socket.sendall(self._framing.frame(body))
        self._link = link
        threading.Thread(target=self._listen, args=(link,), daemon=True).start()
        return link

    def run(self) -> int:
        """Passes the client's messages on until it leaves; the exit status."""
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
        with self._sending:
            self._leaving = True
            link = self._link
        if link is not None:
            try:
                link.socket.shutdown(socket.SHUT_WR)
                self._ended.wait(LEAVING_SECONDS)
            except OSError:
                pass  # the daemon is gone, and its last answers are about to be written
        self._output.flush(LEAVING_SECONDS)

    # --- the client's side ------------------------------------------------------------------

    def _take(self, piece: Piece) -> None:
        message = piece if isinstance(piece, Malformed) else parse(piece)
        if isinstance(message, Malformed):
            for answer in message.answers:
                self._say(answer)
            return
        assert not isinstance(piece, Malformed)
        method = message.get("method")
        self._shutdown = self._shutdown or method == "shutdown"
        self._exited = self._exited or method == "exit"
        with self._sending:
            if method == "exit" and self._link is None:
                self._end()
            retold = self._beginning.note(message, piece)
            self._pass_on(message, piece, retold)

    def _pass_on(self, message: Message, body: bytes, retold: bool) -> None:
        """`retold`: the message is part of what a new daemon is told at once."""
        request = _Request(message, body) if "method" in message and "id" in message else None
        link, dialled = self._link, False
        if link is None:
            try:
                link, dialled = self.dial(*([request] if request else [])), True
            except (Unreachable, OSError) as exc:
                if request is not None:
                    self._fail(request, *_why(exc))
                return
        elif request is not None:
            with self._known:
                link.asks(request)
        if "method" not in message:
            if (answer := self._answer_for(link, message, body)) is None:
                return
            body = answer
        elif message["method"] == "notifications/cancelled" and request is None:
            # A cancelled MCP request is never answered.
            with self._known:
                link.answered(_member(message.get("params"), "requestId"))
        if not (dialled and retold):
            self._send(link, body)

    def _send(self, link: _Link, body: bytes) -> None:
        try:
            link.socket.sendall(self._framing.frame(body))
        except OSError:
            # Whoever listens to it takes its last answers, and then cares for the rest.
            link.alive = False
            self._output.wake()
            if self._link is link:
                self._link = None

    def _answer_for(self, link: _Link, message: Message, body: bytes) -> bytes | None:
        """The client's answer as this daemon knows it; None when another daemon had asked."""
        if not link.number:
            return body
        id = link.meant(message["id"])
        return None if id is None else json.dumps({**message, "id": id}).encode()

    # --- the daemon's side ------------------------------------------------------------------

    def _listen(self, link: _Link) -> None:
        framing = self._framing()
        try:
            while data := link.socket.recv(_BLOCK):
                for piece in framing.feed(data):
                    self._deliver(link, piece)
        except OSError:
            pass
        link.alive = False
        with self._sending:
            if self._link is link:
                self._link = None
            going_on = not (self._leaving or self._exited)
            if going_on:
                self._begin_again(link)
        link.socket.close()
        if going_on:
            return
        with self._known:
            rest = link.rest()
        for request in rest:
            self._fail(request, "The connection was closed before this was answered.")
        self._ended.set()
        if self._exited:
            self._end()

    def _end(self) -> NoReturn:
        """Ends the process as `exit` asks for it."""
        self._output.flush(LEAVING_SECONDS)
        os._exit(0 if self._shutdown else 1)

    def _deliver(self, link: _Link, piece: Piece) -> None:
        if isinstance(piece, Malformed):
            return  # a message of our own daemon that is too large for anybody
        message = _loaded(piece)
        id = message.get("id")
        if "method" in message:
            if link.number:
                piece = link.renamed(message, piece)
        elif id is not None:
            with self._known:
                request = link.answered(id)
            if request is None:
                return  # the handshake that was told again is not answered again
            self._beginning.answered(request.message, message)
        self._output.put(self._framing.frame(piece), link)

    def _begin_again(self, died: _Link) -> None:
        """Repeats to a new daemon what may be repeated, once; the rest is answered with an error.

        A request that was repeated already may be what the daemon died of.
        """
        again: list[_Request] = []
        with self._known:
            rest = died.rest()
        for request in rest:
            if not request.repeated and _is_repeatable(request.message):
                request.repeated = True
                again.append(request)
            else:
                self._fail(
                    request,
                    "Allma's engine stopped while it worked on this. "
                    "It is started again with the next request.",
                )
        if again:
            self._repeat(again)

    def _repeat(self, requests: list[_Request]) -> None:
        link, dialled = self._link, False
        try:
            if link is None:
                link, dialled = self.dial(*requests), True
        except (Unreachable, OSError) as exc:
            for request in requests:
                self._fail(request, *_why(exc))
            return
        if not dialled:
            with self._known:
                for request in requests:
                    link.asks(request)
        for request in requests:
            if not (dialled and self._beginning.has(request.body)):
                self._send(link, request.body)

    # --- what is said here ------------------------------------------------------------------

    def _fail(self, request: _Request, sentence: str, hint: str | None = None) -> None:
        data = {"code": "engine_stopped", "message": sentence, "hint": hint}
        error = {"code": -32000, "message": f"{sentence} {hint or ''}".strip(), "data": data}
        self._say({"jsonrpc": "2.0", "id": request.message["id"], "error": error})

    def _say(self, message: Message) -> None:
        self._output.put(self._framing.frame(json.dumps(message).encode()))


def _why(exc: Exception) -> tuple[str, str | None]:
    if isinstance(exc, Refused):
        return str(exc), exc.hint
    return f"Allma's engine cannot be started: {exc}.", None


def _is_repeatable(message: Message) -> bool:
    """Whether doing it twice is doing it once: all but questions, which are kept, and changes."""
    params = message.get("params")
    asked = _member(params, "name") or _member(params, "command") or message["method"]
    return str(asked).rpartition("allma.")[2].rpartition("allma/")[2] not in _ONCE


def _member(value: object, name: str) -> object:
    return cast(Message, value).get(name) if isinstance(value, dict) else None


def _key(id: object) -> str:
    """An id as it is looked up: 1 and "1" are two."""
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
    """Says something to whoever looks at the client's log."""
    sys.stderr.write(f"allma: {sentence}\n")
    sys.stderr.flush()
