"""Readers: one module for each format of `types/file_types.py`, named like the format.

To add a format, write a module here with a function `read` (see `ports.Reader`), and add a row to
FORMATS in `types/file_types.py`.
"""

from functools import cache
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING

from allma_server.types import format_of

if TYPE_CHECKING:
    # It imports numpy, which a worker process does not need.
    from allma_server.ports import Reader


@cache
def reader_of(name: str) -> "Reader":
    """Return the reader of a format.

    Its module is imported with the first file of that format: a worker process starts faster, and
    most folders have few formats.
    """
    return import_module(f"{__name__}.{name}").read


def reader_for(path: PurePath) -> "Reader | None":
    """Return the reader for a file of this name; None when it holds no text (`format_of`)."""
    name = format_of(path)
    return None if name is None else reader_of(name)
