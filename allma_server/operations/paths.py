"""Paths in arguments: relative ones start at the folders in which the client works."""

import asyncio
import os
import re
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, cast

from allma_server._internal.lines import named_lines
from allma_server._internal.path_text import path_of_uri
from allma_server.errors import InvalidArgument
from allma_server.types import chunk_id

EVERYTHING = "all"
"""The workspace argument that means every workspace."""

_EVERYTHING = {"all", "*", "**"}
_NOTHING = {"", "null", "none", "undefined", "nil"}
"""Words with which language models leave out a folder or a pattern."""


class ClientPath(Enum):
    """Mark an argument as a path of the client.

    A SOURCE may also be a chunk id or an `allma:` URI, and a WORKSPACE the word `all`. A GLOB is a
    path only where it starts with `./` or `../`.
    """

    FILE = "file"
    SOURCE = "source"
    WORKSPACE = "workspace"
    GLOB = "glob"


def is_path(metadata: Iterable[Any]) -> bool:
    """Return whether an argument is marked as a path."""
    return any(isinstance(mark, ClientPath) for mark in metadata)


async def resolved(value: Any, metadata: Iterable[Any], folders: Sequence[str]) -> Any:
    """Return an argument with absolute paths, if its metadata marks it as a path.

    Raises:
        InvalidArgument: the path is relative, and the client works in no folder.
    """
    kind = next((mark for mark in metadata if isinstance(mark, ClientPath)), None)
    if kind is None or not value:
        return value
    if kind in (ClientPath.WORKSPACE, ClientPath.GLOB):
        named = str(value).strip().lower()
        if named in _NOTHING:
            return None
        if kind is ClientPath.WORKSPACE and named in _EVERYTHING:
            return EVERYTHING
    if isinstance(value, list):
        return [await _absolute(str(part), kind, folders) for part in cast(list[Any], value)]
    return await _absolute(str(value), kind, folders)


async def _absolute(value: str, kind: ClientPath, folders: Sequence[str]) -> str:
    named = named_lines(value) if kind is ClientPath.SOURCE else None
    if named is None:
        return await _path(value, kind, folders)
    if value[:5].lower() != "file:":
        whole = await _path(value, kind, folders)
        if os.path.isabs(value) or await asyncio.to_thread(os.path.lexists, whole):
            return whole
    return await _path(named[0], kind, folders) + value[len(named[0]) :]


async def _path(value: str, kind: ClientPath, folders: Sequence[str]) -> str:
    path = _without_scheme(value)
    if not _is_file_name(value if path is None else path):
        raise InvalidArgument(f"{value!r} is not a valid file name.")
    if path is None or not path.strip() or os.path.isabs(path) or path.startswith("~"):
        return value if path is None else path
    if kind is ClientPath.SOURCE and chunk_id(path) is not None:
        found = None
        if folders and not path.strip().isdigit():
            found = await asyncio.to_thread(_existing, path, folders)
        return found or value
    if kind is ClientPath.GLOB and not (folders and re.match(r"\.\.?[\\/]", path)):
        return value
    if not folders:
        if kind is ClientPath.WORKSPACE:
            return value  # may be the name of a workspace
        raise InvalidArgument(
            f"{value!r} is relative, and this client has no working folder.",
            "Give an absolute path.",
        )
    return await asyncio.to_thread(_below, path, folders)


def _is_file_name(value: str) -> bool:
    try:
        return b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _without_scheme(value: str) -> str | None:
    """Return the path of a plain path or file URI; None for another URI."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]+:(?!\d+(-\d+)?$)", value):
        return value
    try:
        return path_of_uri(value)
    except ValueError:
        return None


def _below(path: str, folders: Sequence[str]) -> str:
    """Return the path in the first folder that has it, or in the first folder if none has."""
    return _existing(path, folders) or os.path.normpath(os.path.join(folders[0], path))


def _existing(path: str, folders: Sequence[str]) -> str | None:
    """Return the path in the first folder that has it."""
    candidates = (os.path.normpath(os.path.join(folder, path)) for folder in folders)
    return next((found for found in candidates if os.path.lexists(found)), None)
