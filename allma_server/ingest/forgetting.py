"""Forgetting: a file or folder leaves the index without a trace, and does not come back by itself.

What was begun is finished: a removal that a crash cut off is carried out at the next start.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from allma_server.errors import FolderNotAllowed
from allma_server.model import Document, ForgetReport, SeenFile, Workspace

UNDER_WAY = "forgetting"
FORGOTTEN = "forgotten"

REASON = "forgotten; `allma index` with its path lets it in again"
NOTICE = "The vector index is built anew without it, in the background."


class Catalogue(Protocol):
    """What forgetting needs of the catalogue."""

    async def workspaces(self, *, proposed: bool = False) -> list[Workspace]: ...
    async def remove_workspace(self, workspace_id: int) -> None: ...
    async def documents_inside(self, folder: str) -> list[Document]: ...
    async def remove(self, document_ids: Sequence[int]) -> None: ...
    async def erase_removed(self, path: str) -> None: ...
    async def erase_replaced(self, path: str) -> None: ...
    async def get_setting(self, key: str) -> str | None: ...
    async def set_setting(self, key: str, value: str | None) -> None: ...


class Forgetting:
    """Removes, and remembers what was removed from within a workspace.

    `erase` empties the vector index, which is then built anew.
    """

    def __init__(self, catalogue: Catalogue, erase: Callable[[], Awaitable[None]]) -> None:
        self._catalogue = catalogue
        self._erase = erase

    async def forgotten(self) -> list[str]:
        """Paths inside workspaces that are passed over."""
        return json.loads(await self._catalogue.get_setting(FORGOTTEN) or "[]")

    async def admit(self, path: str) -> None:
        """Lets a forgotten path in again, which somebody asks for by its name.

        Raises:
            FolderNotAllowed: only the folder around it was forgotten, not itself.
        """
        forgotten = await self.forgotten()
        for folder in forgotten:
            if folder in _above(path):
                raise FolderNotAllowed(
                    f"{path} is not indexed: the folder {folder} around it was forgotten.",
                    f"`allma index {folder}` lets the folder in again.",
                )
        if path in forgotten:
            # Their rows say that they are passed over; without them, they are new files.
            documents = await self._catalogue.documents_inside(path)
            await self._catalogue.remove([document.id for document in documents])
            await self._keep(other for other in forgotten if other != path)

    async def forget(self, path: str) -> ForgetReport | None:
        """Removes everything at or below an absolute path; None when nothing is there."""
        known = await self._catalogue.workspaces(proposed=True)
        whole = [w for w in known if path in (w.path, *_above(w.path))]
        documents = await self._catalogue.documents_inside(path)
        if not whole and not documents:
            return None
        await self._catalogue.set_setting(UNDER_WAY, path)
        await self._catalogue.remove([document.id for document in documents])
        for workspace in whole:
            await self._catalogue.remove_workspace(workspace.id)
        await self._finish(path)
        chunks = sum(document.chunks for document in documents)
        return ForgetReport(path, len(documents), chunks, bool(whole), NOTICE if chunks else None)

    async def erase_replaced(self, path: str) -> None:
        """Leaves nothing of what the documents at or below a path held before."""
        await self._catalogue.erase_replaced(path)
        await self._erase()

    async def resume(self) -> None:
        """Finishes what a crash cut off."""
        path = await self._catalogue.get_setting(UNDER_WAY)
        if path is not None and await self.forget(path) is None:
            await self._finish(path)

    async def _finish(self, path: str) -> None:
        known = await self._catalogue.workspaces(proposed=True)
        within = any(w.path in _above(path) for w in known)
        outside = [other for other in await self.forgotten() if path not in (other, *_above(other))]
        await self._keep([*outside, path] if within else outside)
        await self._catalogue.erase_removed(path)
        await self._erase()
        await self._catalogue.set_setting(UNDER_WAY, None)

    async def _keep(self, paths: Iterable[str]) -> None:
        listed = sorted(paths)
        await self._catalogue.set_setting(FORGOTTEN, json.dumps(listed) if listed else None)


def passed_over(seen: Iterable[SeenFile], forgotten: Sequence[str]) -> Iterator[SeenFile]:
    """The seen files, those that were forgotten with that as their reason."""
    hidden = set(forgotten)
    for entry in seen:
        path = entry.file.path
        if hidden and (path in hidden or not hidden.isdisjoint(_above(path))):
            yield SeenFile(entry.file, REASON)
        else:
            yield entry


def _above(path: str) -> list[str]:
    return [str(parent) for parent in Path(path).parents]
