"""The workspace folders of a client: indexed in the background, and searched by default."""

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from allma_server._internal.path_text import path_of_uri
from allma_server._internal.paths import absolute, is_inside, real
from allma_server.errors import AllmaError
from allma_server.operations import BY_NAME, Call
from allma_server.types import Answer, SearchResult

if TYPE_CHECKING:
    from allma_server.engine import Engine

_log = logging.getLogger(__name__)

T = TypeVar("T")


def bases(*folders: str | None) -> tuple[str, ...]:
    """Return the folders where a client's relative paths may start, without duplicates.

    The root does not count: it is the current folder of programs that work in none.
    """
    known = [absolute(folder) for folder in folders if folder]
    return tuple(dict.fromkeys(folder for folder in known if os.path.dirname(folder) != folder))


async def workspace_at(engine: "Engine", folder: str | None) -> tuple[str, ...]:
    """Return the workspace that a folder is in, alone; nothing if it is in none."""
    if folder is None:
        return ()
    here = await real(folder)
    known = await engine.catalog.workspaces(proposed=True)
    return tuple(each.path for each in known if is_inside(here, each.path))


class Folders:
    """The folders of one client, and why some are not indexed."""

    def __init__(self, paths: Sequence[str] = ()) -> None:
        self._paths = [absolute(path) for path in paths]
        self._refused: dict[str, str] = {}
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def paths(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._paths)

    @property
    def refused(self) -> list[str]:
        """A sentence for each folder that could not be indexed."""
        return list(self._refused.values())

    @property
    def searched(self) -> tuple[str, ...]:
        """The folders that narrow a search: all that could be indexed."""
        return tuple(path for path in self._paths if path not in self._refused)

    def with_notice(self, result: T) -> T:
        """Return the result; a search or answer gets a notice about folders not indexed."""
        if isinstance(result, SearchResult | Answer) and self._refused:
            notice = " ".join(filter(None, (result.notice, *self.refused)))
            return replace(result, notice=notice)
        return result

    def add(self, paths: Sequence[str]) -> list[str]:
        """Add folders; return those that are new."""
        new = [path for path in map(absolute, paths) if path not in self._paths]
        self._paths += new
        return new

    def remove(self, paths: Sequence[str]) -> None:
        """Stop searching folders by default; they stay in the index."""
        gone = {absolute(path) for path in paths}
        self._paths = [path for path in self._paths if path not in gone]

    async def index(self, call: Call, paths: Sequence[str] | None = None) -> None:
        """Index folders one by one, all of them without `paths`: a refused one stops no other."""
        self._running += 1
        self._idle.clear()
        try:
            for path in self._paths if paths is None else paths:
                try:
                    # The user has not checked the folder; its disk may be unmounted.
                    await BY_NAME["ingest"](call, {"paths": [path], "keep_unmounted": True})
                    self._refused.pop(path, None)
                except AllmaError as exc:
                    _log.warning("cannot index %s: %s", path, exc)
                    self._refused[path] = str(exc)
                except Exception:
                    # The engine may own this task; an exception would end all of its tasks.
                    _log.exception("indexing %s failed", path)
                    self._refused[path] = f"Indexing {path} failed; the log has the details."
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()

    async def settled(self, seconds: float) -> None:
        """Wait until nothing is being indexed, at most `seconds`."""
        if not seconds:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return


def file_path(uri: str) -> str | None:
    """Return the path of a `file:` URI; None for any other."""
    path = path_of_uri(uri)
    return None if path is None else absolute(path)
