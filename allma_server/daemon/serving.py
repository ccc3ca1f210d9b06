"""Start `allma serve` in a process of its own, which ends when nobody uses it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from allma_server.daemon.link import detached, environment_of_children
from allma_server.errors import ErrorData, StorageError, from_dict


async def start_serving(data: Path) -> str:
    """Start serving the data directory; return the address at which it listens.

    Raises:
        AllmaError: it cannot be served.
    """
    return await asyncio.to_thread(_start, data)


def _start(data: Path) -> str:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "allma_server", "serve", "--until-idle", "--json"]
        + ["--data", str(data)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=os.path.abspath(os.sep),
        start_new_session=True,
        env=environment_of_children(),
        creationflags=detached(),
    )
    assert process.stdout is not None
    with process.stdout as output:
        reply = _first_document(iter(output.readline, b""))
    if (url := reply.get("url")) is not None:
        return url
    if "code" in reply:
        raise from_dict(cast(ErrorData, reply))
    raise StorageError("Cannot start `allma serve`.", "Run it in a terminal to see why.")


def _first_document(lines: Iterator[bytes]) -> dict[str, Any]:
    """Return the JSON document that a command prints; empty if it prints none."""
    text = b""
    for line in lines:
        text += line
        try:
            return json.loads(text)
        except ValueError:
            continue
    return {}
