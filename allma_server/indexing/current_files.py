"""Read files of workspaces as they are on the disk now, to show them.

Whether a file may be read is decided again each time: since it was indexed, it may have become a
link, a device or a huge file, got the name of a secret, or been excluded by an ignore file.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from allma_server._internal.disk_calls import call_disk
from allma_server._internal.lines import FileLines, lines_of
from allma_server._internal.path_text import readable
from allma_server._internal.workspace_files import open_file, status_of
from allma_server.errors import UnreadableDocument
from allma_server.indexing import scope
from allma_server.types import Document, Workspace

T = TypeVar("T")

READ_SECONDS = 5.0
"""A disk that takes longer to answer counts as unavailable."""


class CurrentFiles:
    """Implements the port of `search/read.py` for the disk; reads at most `max_bytes` of a file."""

    def __init__(
        self, workspaces: Callable[[], Awaitable[list[Workspace]]], data_dir: Path, max_bytes: int
    ) -> None:
        self._workspaces = workspaces
        self._data_dir = data_dir
        self._max_bytes = max_bytes

    async def lines(
        self, document: Document, first: int, last: int | None, most: int
    ) -> FileLines | None:
        """Return lines of a document's file, at most `most` bytes; None when it does not exist.

        Raises:
            UnreadableDocument: it may not be read any more, or reading fails.
        """

        def read() -> FileLines:
            with open_file(document.path, self._max_bytes) as file:
                return lines_of(file.blocks(), first, last, most)

        return await self._if_readable(document, read)

    async def find_change(self, document: Document) -> str | None:
        """Return why the text in the index may not be that of a document's file; None if it is.

        Raises:
            UnreadableDocument: the file may not be read any more.
        """
        status = await self._if_readable(document, lambda: status_of(document.path))
        if status is None:
            return (
                f"{readable(document.path)} is not on the disk now; this is its text as it was "
                "indexed."
            )
        if (status.st_size, status.st_mtime_ns) != (document.size, document.mtime_ns):
            return (
                f"{readable(document.path)} has changed since it was indexed; this is its former "
                "text."
            )
        return None

    async def _if_readable(self, document: Document, read: Callable[[], T]) -> T | None:
        root = next((w.path for w in await self._workspaces() if w.id == document.workspace_id), "")

        def check_and_read() -> T:
            self._check_readable(root, document.path)
            return read()

        try:
            return await call_disk(("read", root), READ_SECONDS, check_and_read)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except UnreadableDocument as exc:
            raise _not_shown(document, exc.message) from exc
        except OSError as exc:
            raise UnreadableDocument(
                f"{document.path} cannot be read: {exc.strerror or exc}.",
                "Check the disk and the file's permissions.",
            ) from exc

    def _check_readable(self, root: str, path: str) -> None:
        """Raise UnreadableDocument or, for a missing file, FileNotFoundError."""
        status_of(path)
        files = scope.walk_part(Path(root), [Path(path)], self._data_dir, self._max_bytes)
        seen = next(iter(files), None)
        if seen is None:
            raise UnreadableDocument("an ignore file excludes it now.")
        if seen.reason not in (None, "empty"):
            raise UnreadableDocument(f"{seen.reason}.")


def _not_shown(document: Document, why: str) -> UnreadableDocument:
    why = f"{why[0].lower()}{why[1:]}"
    return UnreadableDocument(
        f"{document.path} is not shown: {why}", "`allma sync` brings the index up to date."
    )
