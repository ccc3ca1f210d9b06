"""Forgetting: remove a file or folder from the index completely, and do not index it again.

Whatever can be searched and read is removed at once, also while a run is active. Copies that are
never read (free pages of the database, parts of the search indexes) are erased in the background.
After a crash, the next start completes both.
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

IN_PROGRESS = "forgetting"
NOT_ERASED = "unerased"
FORGOTTEN = "forgotten"
"""Keys of settings that hold paths: removal has begun, erasing is pending, never index again."""

ERASE = "erase"
"""The kind of the job that erases copies in the background."""

REASON = "forgotten; `allma index` with its path indexes it again"
NOTICE = "Its remaining copies on the disk are being erased in the background."

DOCUMENTS_PER_TRANSACTION, VECTORS_PER_TRANSACTION = 50, 1_000
"""Small enough that other writers get their turn in between."""

RETRY_DELAYS = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds before erasing is tried again after a failure of the disk; the last one repeats."""


class Catalogue(Protocol):
    """The methods of the catalogue that are used here."""

    async def workspaces(self, *, proposed: bool = False) -> list[Workspace]: ...
    async def remove_workspace(self, workspace_id: int) -> None: ...
    async def documents_inside(self, folder: str) -> list[Document]: ...
    async def remove(self, document_ids: Sequence[int]) -> None: ...
    async def erase_documents(self, document_ids: Sequence[int]) -> None: ...
    async def erase_quotes(self, path: str) -> None: ...
    async def unused_vectors(self) -> list[int]: ...
    async def erase_unused_vectors(self, ids: Sequence[int]) -> None: ...
    async def empty_log(self) -> None: ...
    async def mask_quotes(self, path: str) -> None: ...
    async def get_setting(self, key: str) -> str | None: ...
    async def set_setting(self, key: str, value: str | None) -> None: ...


class Forgetting:
    """Removes documents, stores which paths were forgotten, and erases the remaining copies.

    `erase_words` and `erase_vectors` erase removed chunks from the full-text and the vector index.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        erase_words: Callable[[], Awaitable[None]],
        erase_vectors: Callable[[], Awaitable[None]],
        jobs: Jobs,
    ) -> None:
        self._catalogue = catalogue
        self._erase_words = erase_words
        self._erase_vectors = erase_vectors
        self._jobs = jobs
        self._writing = jobs.schedule.writing

    async def forgotten_paths(self) -> list[str]:
        """Return the paths inside workspaces that are not indexed because they were forgotten."""
        return await self._load_paths(FORGOTTEN)

    async def readmit(self, path: str) -> None:
        """Allow to index a forgotten path again, because the user has named it.

        Raises:
            FolderNotAllowed: not `path` itself was forgotten but a folder around it.
        """
        forgotten = await self.forgotten_paths()
        for folder in forgotten:
            if folder in _parents(path):
                raise FolderNotAllowed(
                    f"{path} is not indexed: the folder {folder} around it was forgotten.",
                    f"`allma index {folder}` indexes the folder again.",
                )
        if path in forgotten:
            async with self._writing:
                # Remove the rows that list these files as skipped, so that they are new files.
                documents = await self._catalogue.documents_inside(path)
                await self._catalogue.remove([document.id for document in documents])
                await self._save_paths(FORGOTTEN, set(await self.forgotten_paths()) - {path})

    async def forget(self, path: str) -> ForgetReport | None:
        """Remove all documents at or below an absolute path; return None when there are none."""
        async with self._writing:
            workspaces = await self._workspaces_at(path)
            documents = await self._catalogue.documents_inside(path)
            if not workspaces and not documents:
                return None
            await self._save_paths(IN_PROGRESS, [*await self._load_paths(IN_PROGRESS), path])
            # From now on, scans skip the path; runs that have already read some of its files must
            # not write them.
            await self._save_paths(FORGOTTEN, [*await self.forgotten_paths(), path])
            self._jobs.scan_versions.invalidate(path)
        ids = [document.id for document in documents]
        for begin in range(0, len(ids), DOCUMENTS_PER_TRANSACTION):
            async with self._writing:
                await self._catalogue.erase_documents(
                    ids[begin : begin + DOCUMENTS_PER_TRANSACTION]
                )
        await self._finish(path)
        chunks = sum(document.chunks for document in documents)
        notice = NOTICE if chunks else None
        return ForgetReport(path, len(documents), chunks, bool(workspaces), notice)

    async def erase_replaced(self, path: str) -> None:
        """Erase the former contents of the documents at or below a path."""
        async with self._writing:
            await self._catalogue.mask_quotes(path)
            await self._save_paths(NOT_ERASED, [*await self._load_paths(NOT_ERASED), path])
        await self._start_erasing()

    async def resume(self) -> None:
        """Complete what a crash has interrupted."""
        for path in await self._load_paths(IN_PROGRESS):
            if await self.forget(path) is None:
                await self._finish(path)
        await self._start_erasing()

    async def wait_until_erased(self) -> None:
        """Wait until the copies of everything that was forgotten so far are erased."""
        tasks = {run.task for run in self._jobs.runs(ERASE) if run.task is not None}
        if tasks:
            await asyncio.wait(tasks)

    async def _workspaces_at(self, path: str) -> list[Workspace]:
        """Return the workspaces at or below a path."""
        workspaces = await self._catalogue.workspaces(proposed=True)
        return [w for w in workspaces if path in (w.path, *_parents(w.path))]

    async def _finish(self, path: str) -> None:
        async with self._writing:
            self._jobs.scan_versions.invalidate(path)
            for workspace in await self._workspaces_at(path):
                await self._catalogue.remove_workspace(workspace.id)
            await self._catalogue.erase_quotes(path)
            await self._save_paths(NOT_ERASED, [*await self._load_paths(NOT_ERASED), path])
            remaining = await self._catalogue.workspaces(proposed=True)
            is_in_workspace = any(w.path in _parents(path) for w in remaining)
            others = {p for p in await self.forgotten_paths() if path not in (p, *_parents(p))}
            await self._save_paths(FORGOTTEN, others | ({path} if is_in_workspace else set()))
            await self._save_paths(IN_PROGRESS, set(await self._load_paths(IN_PROGRESS)) - {path})
        await self._start_erasing()

    # --- erasing copies ---------------------------------------------------------------------

    async def _start_erasing(self) -> None:
        if await self._load_paths(NOT_ERASED) and not self._jobs.runs(ERASE):
            # Not at a lower priority: a long scan must not delay it for hours.
            self._jobs.start("", self._erase_with_retries, Priority.ASKED, kind=ERASE)

    async def _erase_with_retries(self, run: Run) -> None:
        failures = 0
        while pending := await self._load_paths(NOT_ERASED):
            try:
                await self._erase(run)
            except StorageError as exc:
                log.warning("erasing forgotten documents failed, will retry: %s", exc)
                await run.report(0, None, f"Erasing will be tried again: {exc}")
                await asyncio.sleep(RETRY_DELAYS[min(failures, len(RETRY_DELAYS) - 1)])
                failures += 1
                continue
            async with self._writing:
                left = set(await self._load_paths(NOT_ERASED)) - set(pending)
                await self._save_paths(NOT_ERASED, left)

    async def _erase(self, run: Run) -> None:
        await run.report(0, 4, "erasing vectors of earlier versions")
        unused = await self._catalogue.unused_vectors()
        for begin in range(0, len(unused), VECTORS_PER_TRANSACTION):
            await run.wait_until_idle()
            await self._catalogue.erase_unused_vectors(
                unused[begin : begin + VECTORS_PER_TRANSACTION]
            )
        await run.report(1, 4, "erasing words from full-text search")
        await self._erase_words()
        await run.report(2, 4, "erasing it from the vector index")
        await self._erase_vectors()
        await run.report(3, 4, "emptying the database's log")
        await self._catalogue.empty_log()

    # --- stored paths -----------------------------------------------------------------------

    async def _load_paths(self, key: str) -> list[str]:
        stored = await self._catalogue.get_setting(key) or "[]"
        # Version 0.1 stored a single path.
        return json.loads(stored) if stored.startswith("[") else [stored]

    async def _save_paths(self, key: str, paths: Iterable[str]) -> None:
        listed = sorted(set(paths))
        await self._catalogue.set_setting(key, json.dumps(listed) if listed else None)


def skip_forgotten(files: Iterable[SeenFile], forgotten: Collection[str]) -> Iterator[SeenFile]:
    """Yield all files; those that were forgotten have REASON as the reason to skip them."""
    hidden = set(forgotten)
    for file in files:
        path = file.file.path
        if hidden and (path in hidden or not hidden.isdisjoint(_parents(path))):
            yield SeenFile(file.file, REASON)
        else:
            yield file


def _parents(path: str) -> list[str]:
    return [str(parent) for parent in Path(path).parents]
