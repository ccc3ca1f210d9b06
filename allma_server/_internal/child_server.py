"""The child's end of `child_process.py`: answer calls over the pipe.

A module of its own, because a child that reads one file should not wait for the import of asyncio.
"""

import contextlib
import json
import os
import signal
import struct
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, TypedDict

from allma_server import errors

Blobs = Sequence[bytes | memoryview]
Reply = tuple[Any, Blobs]
Handler = Callable[[Any, list[bytes]], Reply]

LENGTH = struct.Struct(">I")


class Request(TypedDict):
    """The JSON of a call."""

    method: str
    params: Any


class Response(TypedDict, total=False):
    """The JSON of an answer: a result, an expected error, or the traceback of a bug."""

    result: Any
    error: errors.ErrorData
    bug: str


def serve(handlers: Mapping[str, Handler]) -> None:
    """Answer calls until standard input closes.

    File descriptor 1 is redirected to standard error first, so that nothing a library prints can
    reach the pipe.
    """
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    # Ctrl-C in a terminal also reaches children; the parent ends them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # If the parent has exited, nothing is written, not even what is left in the buffer.
    with contextlib.suppress(BrokenPipeError), source, sink:
        while (received := _read(source)) is not None:
            sink.writelines(frame(*_answer(handlers, *received)))
            sink.flush()


def _answer(
    handlers: Mapping[str, Handler], request: Request, blobs: list[bytes]
) -> tuple[Response, Blobs]:
    try:
        result, out = handlers[request["method"]](request["params"], blobs)
    except errors.AllmaError as exc:
        return {"error": errors.as_dict(exc)}, ()
    except Exception:
        return {"bug": traceback.format_exc()}, ()
    return {"result": result}, out


def frame(header: Request | Response, blobs: Blobs) -> list[bytes | memoryview]:
    """Return the bytes of one call or answer; the sizes of its blobs are added to the header."""
    body = json.dumps({**header, "blobs": [len(b) for b in blobs]}).encode("ascii")
    return [LENGTH.pack(len(body)), body, *blobs]


def _read(source: BinaryIO) -> tuple[Request, list[bytes]] | None:
    prefix = source.read(LENGTH.size)
    if len(prefix) < LENGTH.size:
        return None
    header = json.loads(source.read(LENGTH.unpack(prefix)[0]))
    return header, [source.read(size) for size in header["blobs"]]
