"""The folders a client works in: indexed in the background, and where its searches look."""

import asyncio
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from allma_server._internal.path_text import path_of_uri
from allma_server._internal.paths import absolute
from allma_server.errors import AllmaError
from allma_server.operations import BY_NAME, Call
from allma_server.protocols.engine_provider import EngineSource as EngineSource
from allma_server.types import Answer, SearchResult

_log = logging.getLogger(__name__)

T = TypeVar("T")


def bases(*folders: str | None) -> tuple[str, ...]:
    """Where relative paths of a client may start: the folders that there are.

    The root is none: it is where programs are started that work in no folder.
    """
    known = [absolute(folder) for folder in folders if folder]
    return tuple(dict.fromkeys(folder for folder in known if os.path.dirname(folder) != folder))


class Folders:
    """Folders of one client, each with what became of it."""

    def __init__(self, paths: Sequence[str] = ()) -> None:
        self._paths = [absolute(path) for path in paths]
        self._refused: dict[str, str] = {}
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def paths(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._paths)

    @property
    def refused(self) -> list[str]:
        """For each folder that is not indexed, the sentence that says why."""
        return list(self._refused.values())

    @property
    def searched(self) -> tuple[str, ...]:
        """The folders that narrow a search: all but those that are not indexed."""
        return tuple(path for path in self._paths if path not in self._refused)

    def noted(self, result: T) -> T:
        """The result of a search or a question, with what should be known of the folders."""
        if isinstance(result, SearchResult | Answer) and self._refused:
            notice = " ".join(filter(None, (result.notice, *self.refused)))
            return replace(result, notice=notice)
        return result

    def add(self, paths: Sequence[str]) -> list[str]:
        """Takes folders in; those that are new."""
        new = [path for path in map(absolute, paths) if path not in self._paths]
        self._paths += new
        return new

    def remove(self, paths: Sequence[str]) -> None:
        """Searches no longer look there; what is indexed stays so."""
        gone = {absolute(path) for path in paths}
        self._paths = [path for path in self._paths if path not in gone]

    async def index(self, call: Call, paths: Sequence[str] | None = None) -> None:
        """Registers and ingests folders, each by itself: one that is refused stops no other."""
        self._busy += 1
        self._idle.clear()
        try:
            for path in self._paths if paths is None else paths:
                try:
                    # Nobody has looked at the folder: it may be empty for want of its disk.
                    await BY_NAME["ingest"](call, {"paths": [path], "keep_unmounted": True})
                    self._refused.pop(path, None)
                except AllmaError as exc:
                    _log.warning("%s is not indexed: %s", path, exc)
                    self._refused[path] = str(exc)
                except Exception:
                    # This may be a task of the engine, and none of those may raise.
                    _log.exception("%s could not be indexed", path)
                    self._refused[path] = f"Indexing {path} failed; the log has the details."
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def settled(self, seconds: float) -> None:
        """Waits until nothing is being indexed, for `seconds` at most."""
        if not seconds:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return


def file_path(uri: str) -> str | None:
    """The path of a `file:` URI; None for any other."""
    path = path_of_uri(uri)
    return None if path is None else absolute(path)
