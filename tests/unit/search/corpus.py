"""Indexed files to search."""

from collections.abc import Mapping
from pathlib import Path

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.types import LOCAL


async def indexed(engine: Engine, folder: Path, files: Mapping[str, str]) -> Call:
    """Calls of an engine that has indexed a new folder with these files."""
    _write(folder, files)
    call = Call(engine, LOCAL)
    await BY_NAME["ingest"](call, {"paths": [str(folder)]})
    return call


def _write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
