"""A child process for test_child_process.py."""

import os
import threading
from typing import Any

from allma_server._internal.child_server import Reply, serve
from allma_server.errors import DocumentNotFound


def echo(params: Any, blobs: list[bytes]) -> Reply:
    return params, blobs


def pid(params: Any, blobs: list[bytes]) -> Reply:
    return os.getpid(), ()


def refuse(params: Any, blobs: list[bytes]) -> Reply:
    raise DocumentNotFound("No such thing.", "Look elsewhere.")


def divide(params: Any, blobs: list[bytes]) -> Reply:
    return 1 // 0, ()


def chatter(params: Any, blobs: list[bytes]) -> Reply:
    print("Loading model ...", flush=True)  # noqa: T201
    os.write(1, b"\x00\x00\x00\x02{}")
    return "quiet", ()


def hang(params: Any, blobs: list[bytes]) -> Reply:
    threading.Event().wait()
    return None, ()


def die(params: Any, blobs: list[bytes]) -> Reply:
    os._exit(3)


def environment(params: Any, blobs: list[bytes]) -> Reply:
    return sorted(os.environ), ()  # noqa: TID251


if __name__ == "__main__":
    serve({f.__name__: f for f in (echo, pid, refuse, divide, chatter, hang, die, environment)})
