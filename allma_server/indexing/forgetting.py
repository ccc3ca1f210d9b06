"""Forgetting: a file or folder leaves the index without a trace, and does not come back by itself.

What can be found and read goes at once, whatever run is under way. What is left of it in places
that nobody reads (free room on the disk, parts of the search indexes) is erased in the background.
Both are finished at the next start when a crash cuts them off.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from allma_server.errors import FolderNotAllowed, StorageError
from allma_server.indexing.jobs import Jobs, Run
from allma_server.indexing.schedule import Priority
from allma_server.types import Document, ForgetReport, SeenFile, Workspace

log = logging.getLogger(__name__)

UNDER_WAY = "forgetting"
UNERASED = "unerased"
FORGOTTEN = "forgotten"

ERASE = "erase"
"""The kind of the job that erases what is left."""

REASON = "forgotten; `allma index` with its path lets it in again"
NOTICE = "What is left of it on the disk is being erased in the background."

REMOVED_AT_ONCE = 50
"""Documents in one transaction, so that others can write between two of them."""

PAUSES = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds before erasing is tried again after a failure of the disk; the last one repeats."""


class Catalogue(Protocol):
    """What forgetting needs of the catalogue."""

    async def workspaces(self, *, proposed: bool = False) -> list[Workspace]: ...
    async def remove_workspace(self, workspace_id: int) -> None: ...
    async def documents_inside(self, folder: str) -> list[Document]: ...
    async def remove(self, document_ids: Sequence[int]) -> None: ...
    async def erase_documents(self, document_ids: Sequence[int]) -> None: ...
    async def erase_quotes(self, path: str) -> None: ...
    async def erase_unused_vectors(self, after: int) -> int | None: ...
    async def merge_words(self, *, begin: bool) -> bool: ...
    async def empty_log(self) -> None: ...
    async def mask_quotes(self, path: str) -> None: ...
    async def get_setting(self, key: str) -> str | None: ...
    async def set_setting(self, key: str, value: str | None) -> None: ...


class Forgetting:
    """Removes, remembers what was removed from within a workspace, and erases what is left.

    `erase` leaves nothing of removed chunks in the vector index.
    """

    def __init__(
        self, catalogue: Catalogue, erase: Callable[[], Awaitable[None]], jobs: Jobs
    ) -> None:
        self._catalogue = catalogue
        self._erase = erase
        self._jobs = jobs
        self._writing = jobs.schedule.writing

    async def forgotten(self) -> list[str]:
        """Paths inside workspaces that are passed over."""
        return await self._listed(FORGOTTEN)

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
            async with self._writing:
                # Their rows say that they are passed over; without them, they are new files.
                documents = await self._catalogue.documents_inside(path)
                await self._catalogue.remove([document.id for document in documents])
                await self._keep(FORGOTTEN, set(await self.forgotten()) - {path})

    async def forget(self, path: str) -> ForgetReport | None:
        """Removes everything at or below an absolute path; None when nothing is there."""
        async with self._writing:
            whole = await self._whole(path)
            documents = await self._catalogue.documents_inside(path)
            if not whole and not documents:
                return None
            await self._keep(UNDER_WAY, [*await self._listed(UNDER_WAY), path])
            # Whatever looks at the disk from now on passes it over; what did so before, and has
            # something of it in hand, does not write it any more.
            await self._keep(FORGOTTEN, [*await self.forgotten(), path])
            self._jobs.looks.withdraw(path)
        ids = [document.id for document in documents]
        for begin in range(0, len(ids), REMOVED_AT_ONCE):
            async with self._writing:
                await self._catalogue.erase_documents(ids[begin : begin + REMOVED_AT_ONCE])
        await self._finish(path)
        chunks = sum(document.chunks for document in documents)
        return ForgetReport(path, len(documents), chunks, bool(whole), NOTICE if chunks else None)

    async def erase_replaced(self, path: str) -> None:
        """Leaves nothing of what the documents at or below a path held before."""
        async with self._writing:
            await self._catalogue.mask_quotes(path)
            await self._keep(UNERASED, [*await self._listed(UNERASED), path])
        await self._begin_erasing()

    async def resume(self) -> None:
        """Finishes what a crash cut off."""
        for path in await self._listed(UNDER_WAY):
            if await self.forget(path) is None:
                await self._finish(path)
        await self._begin_erasing()

    async def erased(self) -> None:
        """Returns once nothing is left of what has been forgotten so far."""
        tasks = {run.task for run in self._jobs.runs(ERASE) if run.task is not None}
        if tasks:
            await asyncio.wait(tasks)

    async def _whole(self, path: str) -> list[Workspace]:
        workspaces = await self._catalogue.workspaces(proposed=True)
        return [w for w in workspaces if path in (w.path, *_above(w.path))]

    async def _finish(self, path: str) -> None:
        async with self._writing:
            self._jobs.looks.withdraw(path)
            for workspace in await self._whole(path):
                await self._catalogue.remove_workspace(workspace.id)
            await self._catalogue.erase_quotes(path)
            await self._keep(UNERASED, [*await self._listed(UNERASED), path])
            known = await self._catalogue.workspaces(proposed=True)
            within = any(w.path in _above(path) for w in known)
            outside = {p for p in await self.forgotten() if path not in (p, *_above(p))}
            await self._keep(FORGOTTEN, outside | ({path} if within else set()))
            await self._keep(UNDER_WAY, set(await self._listed(UNDER_WAY)) - {path})
        await self._begin_erasing()

    # --- what is left -----------------------------------------------------------------------

    async def _begin_erasing(self) -> None:
        if await self._listed(UNERASED) and not self._jobs.runs(ERASE):
            # It takes small steps, and nobody should wait for hours until a trace is gone.
            self._jobs.start("", self._erase_patiently, Priority.ASKED, kind=ERASE)

    async def _erase_patiently(self, run: Run) -> None:
        failures = 0
        while pending := await self._listed(UNERASED):
            try:
                await self._erase_left(run)
            except StorageError as exc:
                log.warning("erasing what was forgotten is tried again: %s", exc)
                await run.report(0, None, f"Erasing is tried again: {exc}")
                await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1
                continue
            async with self._writing:
                await self._keep(UNERASED, set(await self._listed(UNERASED)) - set(pending))

    async def _erase_left(self, run: Run) -> None:
        await run.report(0, 4, "erasing vectors of earlier versions")
        after: int | None = 0
        while after is not None:
            await run.quiet()
            after = await self._catalogue.erase_unused_vectors(after)
        await run.report(1, 4, "erasing words from full-text search")
        more = await self._catalogue.merge_words(begin=True)
        while more:
            await run.quiet()
            more = await self._catalogue.merge_words(begin=False)
        await run.report(2, 4, "erasing it from the vector index")
        await self._erase()
        await run.report(3, 4, "emptying the database's log")
        await self._catalogue.empty_log()

    # --- what is remembered -----------------------------------------------------------------

    async def _listed(self, key: str) -> list[str]:
        stored = await self._catalogue.get_setting(key) or "[]"
        # Version 0.1 kept one path under this key.
        return json.loads(stored) if stored.startswith("[") else [stored]

    async def _keep(self, key: str, paths: Iterable[str]) -> None:
        listed = sorted(set(paths))
        await self._catalogue.set_setting(key, json.dumps(listed) if listed else None)


def passed_over(seen: Iterable[SeenFile], forgotten: Collection[str]) -> Iterator[SeenFile]:
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
