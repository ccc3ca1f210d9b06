"""Files of workspaces as they are now, for those who show them.

What may be read is decided anew each time: since it was indexed, a file may have become a link, a
device or something huge, its name may have become a secret's, and a rule may leave it out.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from allma_server._internal.disk_calls import call_disk
from allma_server._internal.lines import FileLines, lines_of
from allma_server._internal.workspace_files import open_file, status_of
from allma_server.errors import UnreadableDocument
from allma_server.indexing import scope
from allma_server.types import Document, Workspace

READ_SECONDS = 5.0
"""A disk that takes longer counts as gone."""


class CurrentFiles:
    """Implements `search.read.FileReader`; `most` bytes of a file are read."""

    def __init__(
        self, workspaces: Callable[[], Awaitable[list[Workspace]]], data_dir: Path, most: int
    ) -> None:
        self._workspaces = workspaces
        self._data_dir = data_dir
        self._most = most

    async def lines(
        self, document: Document, first: int, last: int | None, most: int
    ) -> FileLines | None:
        """Lines of a document's file, at most `most` bytes of them; None when it is gone.

        Raises:
            UnreadableDocument: it may not be read any more, or cannot be.
        """

        def read() -> FileLines:
            with open_file(document.path, self._most) as file:
                return lines_of(file.blocks(), first, last, most)

        return await self._if_readable(document, read)

    async def check(self, document: Document) -> None:
        """Raises UnreadableDocument when a document's file may not be read any more."""
        await self._if_readable(document, lambda: None)

    async def _if_readable(
        self, document: Document, read: Callable[[], FileLines | None]
    ) -> FileLines | None:
        root = next((w.path for w in await self._workspaces() if w.id == document.workspace_id), "")

        def checked() -> FileLines | None:
            return read() if self._is_there(root, document.path) else None

        try:
            return await call_disk(("read", root), READ_SECONDS, checked)
        except FileNotFoundError:
            return None
        except UnreadableDocument as exc:
            raise _not_shown(document, exc.message) from exc
        except OSError as exc:
            raise UnreadableDocument(
                f"{document.path} cannot be read: {exc.strerror or exc}.",
                "Check the disk and the file's permissions.",
            ) from exc

    def _is_there(self, root: str, path: str) -> bool:
        """Whether there is a file to read. Raises UnreadableDocument where it may not be read."""
        status_of(path)
        seen = next(
            iter(scope.walk_part(Path(root), [Path(path)], self._data_dir, self._most)), None
        )
        if seen is None:
            raise UnreadableDocument("an ignore file leaves it out now.")
        if seen.reason not in (None, "empty"):
            raise UnreadableDocument(f"{seen.reason}.")
        return True


def _not_shown(document: Document, why: str) -> UnreadableDocument:
    why = f"{why[0].lower()}{why[1:]}"
    return UnreadableDocument(
        f"{document.path} is not shown: {why}", "`allma sync` brings the index up to date."
    )
