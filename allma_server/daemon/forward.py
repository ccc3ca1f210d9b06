"""What editors and AI clients start: there at once, and passing on what both sides say.

Standard library only. Messages pass as they are. The forwarder remembers how the conversation
began, so that when the daemon dies the client does not: requests under way are answered with an
error, and the next message finds a new daemon that has been told the beginning again.
"""

import json
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn, cast

from allma_server.daemon.link import Unreachable, connect

Door = Literal["lsp", "mcp"]

LEAVING_SECONDS = 10.0
"""How long the daemon may take to answer what is under way after the client has left."""

_BLOCK = 1 << 16
_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,18})", re.I)
_HEADER_END = re.compile(rb"\r?\n\r?\n")

# What a new daemon must be told again, besides the handshake.
_STANDING = {
    "initialized",
    "notifications/initialized",
    "workspace/didChangeWorkspaceFolders",
    "workspace/didChangeConfiguration",
}


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
        Unreachable: no daemon can be had; nothing has been read from the client then.
    """
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        if number := getattr(signal, name, None):
            signal.signal(number, _end_at_once)
    forwarder = _Forwarder(door, data, {**hello, "door": door})
    forwarder.dial()
    os._exit(forwarder.run())


def _end_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(0)


class Framing:
    """Cuts a byte stream into whole messages, each as it came, header included."""

    def __init__(self, door: Door) -> None:
        self._lines = door == "mcp"
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete now."""
        self._buffer += data
        found: list[bytes] = []
        while (end := self._end()) is not None:
            found.append(bytes(self._buffer[:end]))
            del self._buffer[:end]
        return found

    def rest(self) -> bytes:
        """What has come of a message that is not complete."""
        return bytes(self._buffer)

    def _end(self) -> int | None:
        if self._lines:
            end = self._buffer.find(b"\n") + 1
            return end or None
        header = _HEADER_END.search(self._buffer)
        if header is None:
            return None
        length = _LENGTH.search(self._buffer, 0, header.end())
        # Without a length it is no header; the daemon will say so.
        end = header.end() + (int(length[1]) if length else 0)
        return end if len(self._buffer) >= end else None


class _Forwarder:
    def __init__(self, door: Door, data: Path, hello: dict[str, Any]) -> None:
        self._door: Door = door
        self._data = data
        self._hello = hello
        self._link: socket.socket | None = None
        self._turn = threading.Lock()
        self._beginning: list[bytes] = []
        self._asked: dict[str, bytes] = {}
        self._repeated: set[str] = set()
        self._shutdown = self._exited = self._leaving = False
        self._ended = threading.Event()

    def dial(self) -> None:
        """Connects, tells the beginning again, and starts passing answers on."""
        link = connect(self._data, self._hello)
        for message in self._beginning:
            link.sendall(message)
        self._link = link
        threading.Thread(target=self._answers, args=(link,), daemon=True).start()

    def run(self) -> int:
        """Passes the client's messages on until it leaves; the exit status."""
        framing = Framing(self._door)
        while data := _read(0):
            for message in framing.feed(data):
                self._pass_on(message)
            if self._ended.is_set():
                break
        self._leave(framing.rest())
        return 1 if self._exited and not self._shutdown else 0

    def _leave(self, rest: bytes) -> None:
        with self._turn:
            self._leaving = True
            link = self._link
        if link is None:
            return
        try:
            link.sendall(rest)
            link.shutdown(socket.SHUT_WR)
        except OSError:
            return
        self._ended.wait(LEAVING_SECONDS)

    def _pass_on(self, message: bytes) -> None:
        body = _body(message, self._door)
        with self._turn:
            self._remember(body, message)
            for _ in range(2):
                if self._link is None:
                    try:
                        self.dial()
                    except (Unreachable, OSError) as exc:
                        self._answer_all(f"Allma's engine cannot be started: {exc}.")
                        return
                    if self._tells_again(body):
                        return  # it is part of the beginning, which has just been told
                assert self._link is not None
                try:
                    self._link.sendall(message)
                    return
                except OSError:
                    self._link = None

    def _tells_again(self, body: dict[str, Any]) -> bool:
        return body.get("method") in ("initialize", *_STANDING)

    def _remember(self, body: dict[str, Any], message: bytes) -> None:
        method = body.get("method")
        if method == "initialize":
            self._beginning = [message]
        elif method in _STANDING:
            self._beginning.append(message)
        self._shutdown = self._shutdown or method == "shutdown"
        self._exited = self._exited or method == "exit"
        if method is not None and "id" in body:
            self._asked[_key(body["id"])] = message
        elif method == "notifications/cancelled":
            # A cancelled MCP request is never answered.
            self._asked.pop(_key(body.get("params", {}).get("requestId")), None)

    # --- the daemon's side ------------------------------------------------------------------

    def _answers(self, link: socket.socket) -> None:
        framing = Framing(self._door)
        try:
            while data := link.recv(_BLOCK):
                for message in framing.feed(data):
                    if self._is_wanted(message):
                        _write(message)
        except OSError:
            pass
        with self._turn:
            if self._link is link:
                self._link = None
            if not (self._leaving or self._exited):
                # Only the daemon has gone.
                self._begin_again()
                return
        self._ended.set()
        if self._exited:
            os._exit(0 if self._shutdown else 1)

    def _begin_again(self) -> None:
        """Repeats to a new daemon what may be repeated, once; the rest is answered with an error.

        A request that was repeated already may be what the daemon died of.
        """
        again = {
            key: message
            for key, message in self._asked.items()
            if key not in self._repeated and _is_repeatable(_body(message, self._door))
        }
        self._repeated |= again.keys()
        self._answer_all(
            "Allma's engine stopped while it worked on this. "
            "It is started again with the next request.",
            spared=again.keys(),
        )
        if not again:
            return
        try:
            self.dial()
            for message in again.values():
                if self._link is not None and message not in self._beginning:
                    self._link.sendall(message)
        except (Unreachable, OSError) as exc:
            self._answer_all(f"Allma's engine cannot be started: {exc}.")

    def _is_wanted(self, message: bytes) -> bool:
        """Whether the client waits for it: the handshake told again is not answered again."""
        if b'"method"' in message[:400]:
            return True
        id = _body(message, self._door).get("id")
        return id is None or self._asked.pop(_key(id), None) is not None

    def _answer_all(self, sentence: str, spared: Collection[str] = ()) -> None:
        error = {"code": -32000, "message": sentence, "data": {"code": "engine_stopped"}}
        for key in [key for key in self._asked if key not in spared]:
            del self._asked[key]
            answer = json.dumps({"jsonrpc": "2.0", "id": json.loads(key), "error": error}).encode()
            if self._door == "mcp":
                _write(answer + b"\n")
            else:
                _write(b"Content-Length: %d\r\n\r\n" % len(answer) + answer)


def _is_repeatable(body: dict[str, Any]) -> bool:
    """Whether doing it twice is doing it once: all but questions, which are kept, and changes."""
    params = body.get("params")
    named = cast(dict[str, Any], params) if isinstance(params, dict) else {}
    asked = str(named.get("name") or named.get("command") or body.get("method"))
    return asked.rpartition("allma.")[2].rpartition("allma/")[2] not in _ONCE


def _key(id: object) -> str:
    return json.dumps(id)


def _body(message: bytes, door: Door) -> dict[str, Any]:
    """The JSON object of a message; an empty one where there is none to be found."""
    if door == "lsp":
        header = _HEADER_END.search(message)
        message = message[header.end() :] if header else b""
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _BLOCK)
    except OSError:
        return b""


_writing = threading.Lock()


def _write(message: bytes) -> None:
    with _writing:
        view = memoryview(message)
        try:
            while view:
                view = view[os.write(1, view) :]
        except OSError:
            os._exit(0)  # nobody listens any more


def warn(sentence: str) -> None:
    """Says something to whoever looks at the client's log."""
    sys.stderr.write(f"allma: {sentence}\n")
    sys.stderr.flush()
