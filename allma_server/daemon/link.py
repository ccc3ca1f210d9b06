"""Reaching the daemon of a data directory, and starting it when there is none.

Standard library only: an editor waits for this.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

from allma_server.locations import build_stamp, meeting_place
from allma_server.private import private_opener

START_SECONDS = 20.0
HELLO_SECONDS = 5.0


class Unreachable(Exception):
    """There is no daemon, and none could be started; the reason is the message."""


def connect(data: Path, hello: dict[str, Any], *, start: bool = True) -> socket.socket:
    """A connection to the daemon of `data` that has said yes to `hello`.

    A daemon of another build says no and leaves; its successor is started then.

    Raises:
        Unreachable: there is none (and it may not be started, or did not start).
    """
    try:
        place = meeting_place(data)
    except OSError as exc:
        raise Unreachable(str(exc)) from exc
    deadline = time.monotonic() + START_SECONDS
    while True:
        if (link := dial(place)) is not None:
            if greet(link, place, hello) is not None:
                return link
            link.close()
        elif not start:
            raise Unreachable("no daemon is running")
        if not start or time.monotonic() > deadline:
            raise Unreachable("the daemon did not answer")
        _start(data, place, deadline)


def greet(link: socket.socket, place: Path, hello: dict[str, Any]) -> dict[str, Any] | None:
    """Says hello; the daemon's answer when it is yes."""
    greeting = {**hello, "stamp": build_stamp(), "pid": os.getpid(), "token": _token(place)}
    try:
        link.settimeout(HELLO_SECONDS)
        link.sendall(json.dumps(greeting).encode() + b"\n")
        answer = read_line(link)
        link.settimeout(None)
    except OSError:
        return None
    reply = json.loads(answer or b"{}")
    return reply if reply.get("ok") else None


def read_line(link: socket.socket) -> bytes:
    """One line, byte by byte: what follows it belongs to somebody else."""
    line = bytearray()
    while (byte := link.recv(1)) and byte != b"\n":
        line += byte
    return bytes(line)


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


def _token(place: Path) -> str | None:
    if sys.platform != "win32":
        return None  # the folder's permissions keep strangers out
    try:
        return json.loads(place.read_text("utf-8"))["token"]
    except (OSError, ValueError, KeyError):
        return None


def _start(data: Path, place: Path, deadline: float) -> None:
    """Starts a daemon, unless somebody else is just doing so; returns when one listens."""
    with _election(place.with_suffix(".lock"), deadline):
        if (link := dial(place)) is not None:
            link.close()
            # Somebody else was faster; or an old one is still about to leave.
            time.sleep(0.02)
            return
        with open(place.with_suffix(".log"), "ab", opener=private_opener) as log:
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
        while time.monotonic() < deadline:
            if (link := dial(place)) is not None:
                link.close()
                return
            if process.poll() is not None:
                log_file = place.with_suffix(".log")
                raise Unreachable(f"the daemon ended with status {process.returncode}: {log_file}")
            time.sleep(0.02)


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
def _election(lock: Path, deadline: float) -> Generator[None]:
    """Lets one starter in at a time. The file stays: deleting it would make two locks of one."""
    with open(lock, "a+b", opener=private_opener) as file:
        if sys.platform == "win32":
            import msvcrt

            while True:
                try:
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise Unreachable("another client is starting the daemon") from None
                    time.sleep(0.05)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
