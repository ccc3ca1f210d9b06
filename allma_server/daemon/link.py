"""Reaching the daemon of a data directory, starting it when there is none, and stopping it.

Beside its socket a daemon has a file that it holds a lock on while its process lives: who holds
the lock is the one daemon, whether it answers or not. Standard library only: an editor waits for
this.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple, cast

from allma_server._internal.file_lock import try_lock, unlock
from allma_server._internal.private import private_opener
from allma_server.locations import build, socket_path

START_SECONDS = 40.0
HELLO_SECONDS = 5.0
"""For the whole answer to a hello, however slowly it comes."""

REPLY_BYTES = 1 << 18
"""The longest answer to a hello: the settings, and thousands of clients."""

STOP_SECONDS = 30.0
"""How long a daemon that said it would stop may take."""

HANG_SECONDS = 10.0
"""How long one that says nothing may take; then its process is killed."""

NO_SOCKET = 3
"""Exit status of a daemon that could not listen."""

_PAUSE = 0.02

_started: list[subprocess.Popen[bytes]] = []
"""Daemons that this process has started; they outlive it, or are waited for when they end."""


class Unreachable(Exception):
    """There is no daemon, and none could be started; the reason is the message."""


class NoSockets(Unreachable):
    """Sockets cannot be used here, so nothing can be shared."""


class Refused(Unreachable):
    """The daemon will not serve this client; `hint` is the next step."""

    def __init__(self, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.hint = hint


class Serving(NamedTuple):
    """The process that serves a data directory; `id` tells it from a later one of the same pid."""

    pid: int
    id: str


class Stopped(NamedTuple):
    """The process that was stopped, if there was one, and whether it had to be killed."""

    pid: int | None
    killed: bool


def connect(
    data: Path, hello: dict[str, Any], given_up: Callable[[], bool] = lambda: False
) -> socket.socket:
    """A connection to the daemon of `data` that has said yes to `hello`.

    A daemon of an older version says no and leaves; its successor is started then. What listens in
    the place of a daemon and is none is replaced by one. `given_up`: tells when nobody waits for it
    any more.

    Raises:
        NoSockets: nothing can be shared here.
        Refused: the daemon is newer and cannot be used by this version.
        Unreachable: there is no daemon, and none could be started.
    """
    place = _place(data)
    deadline = time.monotonic() + START_SECONDS

    def expired() -> bool:
        return time.monotonic() > deadline or given_up()

    while True:
        if (link := dial(place)) is not None:
            reply = greet(link, place, hello)
            if reply is not None and reply.get("ok"):
                return link
            link.close()
            if reply is not None and (refusal := _refusal(reply)):
                raise refusal
        if expired():
            pid = (owner.pid if (owner := serving(place)) else 0) or "unknown"
            raise Unreachable(f"it (pid {pid}) does not answer; `allma daemon restart` replaces it")
        _start(data, place, expired)


def control(data: Path, command: str) -> dict[str, Any] | None:
    """What a running daemon answers to a command of the shell; None when none answers."""
    place = _place(data)
    if serving(place) is None or (link := dial(place)) is None:
        return None
    with link:
        reply = greet(link, place, {"door": "control", "command": command})
    return reply if reply is not None and reply.get("ok") else None


def greet(link: socket.socket, place: Path, hello: dict[str, Any]) -> dict[str, Any] | None:
    """Says hello; the daemon's answer, or None when there is none."""
    greeting = {**hello, "build": build(), "pid": os.getpid(), "token": _token(place)}
    try:
        deadline = time.monotonic() + HELLO_SECONDS
        link.settimeout(HELLO_SECONDS)
        link.sendall(json.dumps(greeting).encode() + b"\n")
        reply = json.loads(read_line(link, deadline) or b"{}")
        link.settimeout(None)
    except (OSError, ValueError, RecursionError):
        return None
    return cast(dict[str, Any], reply) if isinstance(reply, dict) and "ok" in reply else None


def read_line(link: socket.socket, deadline: float) -> bytes:
    """One line, byte by byte: what follows it belongs to somebody else.

    Raises:
        TimeoutError: the line had not ended at `deadline`, in seconds of the monotonic clock.
        ValueError: it is longer than any answer of a daemon.
    """
    line = bytearray()
    while len(line) < REPLY_BYTES:
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError
        link.settimeout(left)
        if (byte := link.recv(1)) in (b"", b"\n"):
            return bytes(line)
        line += byte
    raise ValueError("no answer of a daemon is as long")


def _refusal(reply: dict[str, Any]) -> Refused | None:
    error = reply.get("error")
    told = cast(dict[str, Any], error) if isinstance(error, dict) else {}
    message, hint = told.get("message"), told.get("hint")
    if not isinstance(message, str):
        return None
    return Refused(message, hint if isinstance(hint, str) else None)


def dial(place: Path) -> socket.socket | None:
    """A connection to whoever listens at `place`; None when nobody does."""
    try:
        if sys.platform == "win32":
            address = json.loads(place.read_text("utf-8"))
            return socket.create_connection(("127.0.0.1", address["port"]), timeout=1)
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(1)
        try:
            link.connect(str(place))
        except OSError:
            link.close()
            raise
        return link
    except (OSError, ValueError, KeyError):
        return None


def serving(place: Path) -> Serving | None:
    """The process that serves at `place`, whether it answers or not; None when there is none."""
    try:
        with place.with_suffix(".run").open("r+b") as file:
            if try_lock(file):
                unlock(file)
                return None
            file.seek(0)
            known = json.loads(file.read(1000) or b"{}")
            return Serving(int(known["pid"]), str(known["id"]))
    except OSError:
        return None  # none has served here, or can serve where no file can be opened for writing
    except (ValueError, KeyError):
        return Serving(0, "")  # it has the lock and is just about to write its name


def stop(data: Path) -> Stopped:
    """Stops the daemon of `data`; returns when its process, and all that it held, is gone.

    Raises:
        Unreachable: its process cannot be ended.
    """
    place = _place(data)
    owner = serving(place)
    if owner is None:
        return Stopped(None, killed=False)
    answered = control(data, "stop") is not None
    deadline = time.monotonic() + (STOP_SECONDS if answered else HANG_SECONDS)
    killed = False
    while serving(place) == owner:
        if time.monotonic() > deadline:
            if killed or not owner.pid:
                raise Unreachable(f"process {owner.pid} does not end")
            killed, deadline = True, deadline + HANG_SECONDS
            _kill(owner.pid)
        time.sleep(_PAUSE)
    return Stopped(owner.pid, killed)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def _place(data: Path) -> Path:
    try:
        return socket_path(data)
    except OSError as exc:
        raise NoSockets(str(exc)) from exc


def _token(place: Path) -> str | None:
    if sys.platform != "win32":
        return None  # the folder's permissions keep strangers out
    try:
        return json.loads(place.read_text("utf-8"))["token"]
    except (OSError, ValueError, KeyError):
        return None


def _start(data: Path, place: Path, expired: Callable[[], bool]) -> None:
    """Starts a daemon, unless somebody else is just doing so; returns when one listens."""
    with _election(place.with_suffix(".lock"), expired):
        if serving(place) is None:
            # Whatever listens there is no daemon, since a daemon holds its lock before it listens.
            with contextlib.suppress(OSError):
                os.unlink(place)
        elif (link := dial(place)) is not None:
            link.close()
            # Somebody else was faster; or an old one is still about to leave.
            time.sleep(_PAUSE)
            return
        log_file = place.with_suffix(".log")
        with open(log_file, "ab", opener=private_opener) as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "allma_server.daemon", str(data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=os.path.abspath(os.sep),
                start_new_session=True,
                env=_environment(),
                creationflags=_detached(),
            )
        _started[:] = [child for child in _started if child.poll() is None] + [process]
        while not expired():
            if (link := dial(place)) is not None:
                link.close()
                return
            match process.poll():
                case None:
                    time.sleep(_PAUSE)
                case 0:
                    return  # another one serves already
                case status if status == NO_SOCKET:
                    raise NoSockets(f"no socket can be made at {place}: {log_file}")
                case status:
                    raise Unreachable(f"it ended with status {status}: {log_file}")


def _environment() -> dict[str, str]:
    # The package must be found, however this process came to find it.
    path = str(Path(__file__).resolve().parents[2])
    # numpy's threads spin for a while after each product, on the cores that others would use.
    return {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}  # noqa: TID251


def _detached() -> int:
    if sys.platform == "win32":
        return subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    return 0


@contextlib.contextmanager
def _election(lock: Path, expired: Callable[[], bool]) -> Generator[None]:
    """Lets one starter in at a time. Raises NoSockets where nothing can be written."""
    try:
        file = open(lock, "a+b", opener=private_opener)
    except OSError as exc:
        raise NoSockets(str(exc)) from exc
    with file:
        while not try_lock(file):
            if expired():
                raise Unreachable("another client is starting it")
            time.sleep(_PAUSE)
        yield
