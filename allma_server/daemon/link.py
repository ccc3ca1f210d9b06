"""Connect to the daemon of a data directory, start it if none is running, and stop it.

Beside its socket, a daemon keeps a file locked while its process lives: the process that holds the
lock is the only daemon, whether it answers or not. Standard library only, to start fast.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import NamedTuple, Required, TypedDict, cast

from allma_server._internal.file_lock import try_lock, unlock
from allma_server._internal.private import private_opener
from allma_server.locations import build, recorded_socket, socket_path

START_SECONDS = 40.0
"""Seconds for a daemon to start and to accept a client."""

HELLO_SECONDS = 5.0
"""Seconds for the whole answer to a hello."""

REPLY_BYTES = 1 << 18
"""Bytes of the longest answer to a hello: the settings, and thousands of clients."""

STOP_SECONDS = 30.0
"""Seconds for a daemon to stop that has confirmed it will."""

HANG_SECONDS = 10.0
"""Seconds for one that does not answer; then its process is killed."""

NO_SOCKET = 3
"""Exit status of a daemon that could not listen."""

_PAUSE = 0.02

_started: list[subprocess.Popen[bytes]] = []
"""Daemons that this process has started. They outlive it; those that end earlier are reaped."""


class Unreachable(Exception):
    """No daemon is running, and none can be started. The message is the reason."""


class NoSockets(Unreachable):
    """Sockets cannot be used here, so the engine cannot be shared."""


class Refused(Unreachable):
    """The daemon does not serve this client; `hint` is the next step."""

    def __init__(self, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.hint = hint


class DaemonProcess(NamedTuple):
    """The process that serves a data directory; a later one with its pid has another `id`."""

    pid: int
    id: str


class Stopped(NamedTuple):
    """The process that was stopped, if one was running, and whether it had to be killed."""

    pid: int | None
    killed: bool


class ClientEntry(TypedDict):
    """A connected client in the daemon's status."""

    protocol: str
    pid: int


class Reply(TypedDict, total=False):
    """The daemon's answer to a hello: whether it accepts the client, or the result of a command."""

    ok: Required[bool]
    error: object
    pid: int
    stamp: str
    uptime_seconds: int
    clients: list[ClientEntry]
    settings: dict[str, object]


def connect(
    data: Path, hello: Mapping[str, object], given_up: Callable[[], bool] = lambda: False
) -> socket.socket:
    """Connect to the daemon of `data`, and start it if none is running.

    A daemon of an older version refuses the client and shuts down, and a new one is started.
    Anything else that listens on the socket's path is replaced by a daemon.

    Args:
        data: the data directory.
        hello: describes the client; the daemon has accepted it when this returns.
        given_up: returns True when the caller no longer waits.

    Raises:
        NoSockets: sockets cannot be used here.
        Refused: the daemon is newer, and this version cannot use it.
        Unreachable: no daemon is running, and none can be started.
    """
    deadline = time.monotonic() + START_SECONDS

    def expired() -> bool:
        return time.monotonic() > deadline or given_up()

    while True:
        path = find_socket(data)
        if (link := dial(path)) is not None:
            reply = greet(link, path, hello)
            if reply is not None and reply.get("ok"):
                return link
            link.close()
            if reply is not None and (refusal := _refusal(reply)):
                raise refusal
        if expired():
            pid = (owner.pid if (owner := serving(path)) else 0) or "unknown"
            raise Unreachable(f"it (pid {pid}) does not answer; `allma daemon restart` replaces it")
        _start(data, path, expired)


def connect_running(data: Path, hello: Mapping[str, object]) -> socket.socket | None:
    """Connect to the daemon of `data`; None if none is running that accepts this client."""
    path = find_socket(data)
    if serving(path) is None or (link := dial(path)) is None:
        return None
    reply = greet(link, path, hello)
    if reply is not None and reply.get("ok"):
        return link
    link.close()
    return None


def control(data: Path, command: str) -> Reply | None:
    """Send a control command; return the daemon's answer, or None if no daemon answers."""
    path = find_socket(data)
    if serving(path) is None or (link := dial(path)) is None:
        return None
    with link:
        reply = greet(link, path, {"protocol": "control", "command": command})
    return reply if reply is not None and reply.get("ok") else None


def greet(link: socket.socket, path: Path, hello: Mapping[str, object]) -> Reply | None:
    """Send a hello; return the daemon's answer, or None if none comes."""
    greeting = {**hello, "build": build(), "pid": os.getpid(), "token": _token(path)}
    try:
        deadline = time.monotonic() + HELLO_SECONDS
        link.settimeout(HELLO_SECONDS)
        link.sendall(json.dumps(greeting).encode() + b"\n")
        reply = json.loads(read_line(link, deadline) or b"{}")
        link.settimeout(None)
    except (OSError, ValueError, RecursionError):
        return None
    return cast(Reply, reply) if isinstance(reply, dict) and "ok" in reply else None


def read_line(link: socket.socket, deadline: float) -> bytes:
    """Read one line, byte by byte: the bytes after it belong to the protocol.

    Raises:
        TimeoutError: the line had not ended at `deadline`, in seconds of the monotonic clock.
        ValueError: the line is longer than any answer of a daemon.
    """
    line = bytearray()
    while len(line) < REPLY_BYTES:
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError
        link.settimeout(left)
        if (byte := link.recv(1)) in (b"", b"\n"):
            return bytes(line)
        line += byte
    raise ValueError("too long for an answer of a daemon")


def _refusal(reply: Reply) -> Refused | None:
    error = reply.get("error")
    members = cast(dict[str, object], error) if isinstance(error, dict) else {}
    message, hint = members.get("message"), members.get("hint")
    if not isinstance(message, str):
        return None
    return Refused(message, hint if isinstance(hint, str) else None)


def dial(path: Path) -> socket.socket | None:
    """Connect to the process that listens at `path`; None if none does."""
    try:
        if sys.platform == "win32":
            address = json.loads(path.read_text("utf-8"))
            return socket.create_connection(("127.0.0.1", address["port"]), timeout=1)
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(1)
        try:
            link.connect(str(path))
        except OSError:
            link.close()
            raise
        return link
    except (OSError, ValueError, KeyError):
        return None


def serving(path: Path) -> DaemonProcess | None:
    """Return the process that serves at `path`, whether it answers or not; None if none does."""
    try:
        with path.with_suffix(".run").open("r+b") as file:
            if try_lock(file):
                unlock(file)
                return None
            file.seek(0)
            known = json.loads(file.read(1000) or b"{}")
            return DaemonProcess(int(known["pid"]), str(known["id"]))
    except OSError:
        return None  # no daemon has served here, or files cannot be opened for writing
    except (ValueError, KeyError):
        return DaemonProcess(0, "")  # it holds the lock and has not yet written its pid


def started(data: Path) -> float | None:
    """Return when the daemon of `data` started, in seconds as of files; None if none runs."""
    with contextlib.suppress(OSError, NoSockets):
        path = find_socket(data)
        if serving(path) is not None:
            return path.with_suffix(".run").stat().st_mtime
    return None


def stop(data: Path) -> Stopped:
    """Stop the daemon of `data`; return when its process has ended.

    Raises:
        Unreachable: its process cannot be ended.
    """
    path = find_socket(data)
    owner = serving(path)
    if owner is None:
        return Stopped(None, killed=False)
    answered = control(data, "stop") is not None
    deadline = time.monotonic() + (STOP_SECONDS if answered else HANG_SECONDS)
    killed = False
    while serving(path) == owner:
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


def find_socket(data: Path) -> Path:
    """Return the path of the socket at which a daemon serves `data`, or would serve it.

    A daemon that another environment has started, with another HOME, may have its socket elsewhere.

    Raises:
        NoSockets: a socket cannot be made here.
    """
    recorded = recorded_socket(data)
    if recorded is not None and serving(recorded) is not None:
        return recorded
    try:
        return socket_path(data)
    except OSError as exc:
        raise NoSockets(str(exc)) from exc


def _token(path: Path) -> str | None:
    if sys.platform != "win32":
        return None  # the permissions of the folder protect the socket
    try:
        return json.loads(path.read_text("utf-8"))["token"]
    except (OSError, ValueError, KeyError):
        return None


def _start(data: Path, path: Path, expired: Callable[[], bool]) -> None:
    """Start a daemon unless another client is starting one; return when one listens."""
    with _election(path.with_suffix(".lock"), expired):
        if serving(path) is None:
            # No daemon listens there: a daemon locks its file before it listens.
            with contextlib.suppress(OSError):
                os.unlink(path)
        elif (link := dial(path)) is not None:
            link.close()
            # Another client has started it; or an older one is about to shut down.
            time.sleep(_PAUSE)
            return
        log_file = path.with_suffix(".log")
        with open(log_file, "ab", opener=private_opener) as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "allma_server.daemon", str(data)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=os.path.abspath(os.sep),
                start_new_session=True,
                env=environment_of_children(),
                creationflags=detached(),
            )
        _started[:] = [child for child in _started if child.poll() is None] + [process]
        while not expired():
            if (link := dial(path)) is not None:
                link.close()
                return
            match process.poll():
                case None:
                    time.sleep(_PAUSE)
                case 0:
                    return  # another daemon is already serving
                case status if status == NO_SOCKET:
                    raise NoSockets(f"no socket can be made at {path}: {log_file}")
                case status:
                    raise Unreachable(f"it ended with status {status}: {log_file}")


def environment_of_children() -> dict[str, str]:
    """Return the environment in which the processes of this package start."""
    # The daemon must find the same package as this process.
    package_path = str(Path(__file__).resolve().parents[2])
    # The threads of numpy spin after each product, on cores that other work needs.
    return {**os.environ, "PYTHONPATH": package_path, "OPENBLAS_NUM_THREADS": "1"}  # noqa: TID251


def detached() -> int:
    """Return the flags with which a process outlives the one that starts it, on Windows."""
    if sys.platform == "win32":
        return subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    return 0


@contextlib.contextmanager
def _election(lock: Path, expired: Callable[[], bool]) -> Generator[None]:
    """Let one client at a time start a daemon. Raises NoSockets where files cannot be written."""
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
