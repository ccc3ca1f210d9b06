"""Bring one workspace up to date: scan the disk, compare with the catalogue, run the pipeline."""

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from allma_server import __version__
from allma_server._internal.disk_calls import call_disk
from allma_server._internal.paths import is_inside
from allma_server._internal.tasks import background_tasks
from allma_server.config import Config
from allma_server.errors import AllmaError, StorageError
from allma_server.indexing import roots
from allma_server.indexing.forgetting import Forgetting, skip_forgotten
from allma_server.indexing.jobs import Jobs, Run
from allma_server.indexing.pipeline import Pipeline, hash_file
from allma_server.indexing.plan import is_unchanged, plan
from allma_server.indexing.scan import Retry, RunOptions, WorkspaceScan
from allma_server.ports import Embedder, Ledger, Parser, Progress, TextRecogniser
from allma_server.secrets import MASKED
from allma_server.types import (
    INSTALL_OCR,
    Add,
    Change,
    Document,
    FileFacts,
    IngestReport,
    SeenFile,
    Update,
    Workspace,
    is_picture,
)

COUNT_INTERVAL_SECONDS = 0.5
"""How often a run that is scanning reports how many files it has found."""

DISK_TIMEOUT_SECONDS = 10.0
"""A disk that takes longer to answer counts as unavailable."""

ROOT_TIMEOUT_SECONDS = 1.0
"""How long a search or the status waits to know whether a workspace's folder exists."""


NOT_RECOGNISED = f"a picture; `{INSTALL_OCR}` makes its text searchable (OCR)"


@dataclass(frozen=True, slots=True)
class _Fingerprints:
    """The settings by which files are read, now and when the workspace was last scanned.

    `chunking` is the part of `current` that decides how a file is chunked. `same_rules`: a scan of
    the whole workspace has decided by the rules of now which files are read.
    """

    chunking: str
    current: str
    previous: str
    same_rules: bool

    @property
    def reread(self) -> bool:
        """Whether every file must be read again: the chunking or Allma's version has changed."""
        return self.previous.partition("|")[0] != self.current.partition("|")[0]


class Catalogue(Ledger, Protocol):
    """The methods of the catalogue that are used here."""

    async def workspaces(self, *, proposed: bool = False) -> list[Workspace]: ...
    async def index_fingerprint(self, workspace_id: int) -> str: ...
    async def set_index_fingerprint(self, workspace_id: int, fingerprint: str) -> None: ...
    async def workspace_disks(self, workspace_id: int) -> dict[str, int]: ...
    async def set_workspace_disks(self, workspace_id: int, disks: Mapping[str, int]) -> None: ...
    async def documents_inside(self, folder: str) -> list[Document]: ...


class WorkspaceUpdater:
    """Brings workspaces up to date."""

    def __init__(
        self,
        config: Config,
        catalogue: Catalogue,
        *,
        parser: Callable[[], Awaitable[Parser]],
        embedder: Callable[[], Awaitable[Embedder]],
        recogniser: TextRecogniser | None,
        chunking_fingerprint: Callable[[], Awaitable[str]],
        forgetting: Forgetting,
        jobs: Jobs,
    ) -> None:
        self._config = config
        self._max_bytes = config.max_file_mb * 1_000_000
        self._catalogue = catalogue
        self._parser = parser
        self._embedder = embedder
        self._recogniser = recogniser
        self._chunking_fingerprint = chunking_fingerprint
        self._forgetting = forgetting
        self._jobs = jobs
        # Only one run at a time scans a whole workspace.
        self._whole: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._queues: defaultdict[int, list[Run]] = defaultdict(list)

    async def update(self, workspace: Workspace, run: Run, options: RunOptions) -> IngestReport:
        """Bring a workspace up to date, within `options`.

        Raises:
            PathNotFound, UnreadableDocument: its folder cannot be scanned; nothing is removed.
            StorageError: the disk of the workspace or of the index does not work.
        """
        if options.only is not None:
            return await self._update(workspace, run, options)
        async with self._exclusive(workspace, run):
            return await self._update(workspace, run, options)

    async def unavailable(self, workspace: Workspace) -> AllmaError | None:
        """Return why a workspace is not on the disk as it was; None when it is."""
        disks = await self._catalogue.workspace_disks(workspace.id)
        root = Path(workspace.path)
        # A disk that does not answer, or denies access, may still have the folder.
        with contextlib.suppress(TimeoutError, OSError):
            return await call_disk(
                ("root", workspace.path),
                ROOT_TIMEOUT_SECONDS,
                roots.find_problem,
                root,
                disks,
                lambda path: self._has_files(root, path),
            )
        return None

    @contextlib.asynccontextmanager
    async def _exclusive(self, workspace: Workspace, run: Run) -> AsyncGenerator[None]:
        """Wait for the other runs over the whole workspace, and keep them out for the block.

        Two clients that index the same folder share the work this way. The earlier runs become as
        urgent as this one, because it waits for them.
        """
        queue = self._queues[workspace.id]
        for earlier in queue:
            earlier.raise_priority(run.priority)
        queue.append(run)
        try:
            async with self._whole[workspace.id]:
                yield
        finally:
            queue.remove(run)

    async def _update(self, workspace: Workspace, run: Run, options: RunOptions) -> IngestReport:
        fingerprints = await self._fingerprints(workspace, options)
        scan_number = self._jobs.scan_versions.begin_scan()
        if workspace.id not in {w.id for w in await self._catalogue.workspaces()}:
            return IngestReport()  # it was forgotten or joined to another one while the run waited
        known = await self._known_documents(workspace, options.only)
        # The first scan may take long, and searches should report meanwhile that it is running.
        run.has_files_to_read = not any(document.state == "indexed" for document in known)
        pipeline = Pipeline(
            workspace,
            ledger=self._catalogue,
            parser=await self._parser(),
            embedder=self._embedder,
            recogniser=self._recogniser,
            chunking_fingerprint=fingerprints.chunking,
            max_bytes=self._max_bytes,
            run=run,
            scan_versions=self._jobs.scan_versions,
            scan_number=scan_number,
        )
        changes = await self._changes(workspace, known, fingerprints, run, options)
        run.has_files_to_read = any(isinstance(change, Add | Update) for change in changes)
        report = await pipeline.run(changes)
        run.has_files_to_read = False
        was_unmasked = self._config.mask_secrets and MASKED not in fingerprints.previous
        if fingerprints.reread and known and was_unmasked:
            await self._forgetting.erase_replaced(workspace.path)
        if fingerprints.previous != fingerprints.current:
            await self._catalogue.set_index_fingerprint(workspace.id, fingerprints.current)
        return report

    async def _fingerprints(self, workspace: Workspace, options: RunOptions) -> _Fingerprints:
        chunking, config = await self._chunking_fingerprint(), self._config
        current = f"{__version__}:{chunking}|{config.max_file_mb}:{config.parse_seconds}"
        if options.only is not None:
            return _Fingerprints(chunking, current, current, same_rules=False)
        previous = await self._catalogue.index_fingerprint(workspace.id)
        return _Fingerprints(chunking, current, previous, same_rules=previous == current)

    async def _known_documents(
        self, workspace: Workspace, only: Collection[str] | None
    ) -> Sequence[Document]:
        if only is None:
            return await self._catalogue.documents(workspace.id)
        found = [await self._catalogue.documents_inside(path) for path in only]
        return list({document.id: document for part in found for document in part}.values())

    async def _changes(
        self,
        workspace: Workspace,
        known: Sequence[Document],
        fingerprints: _Fingerprints,
        run: Run,
        options: RunOptions,
    ) -> list[Change]:
        """Scan the disk and compare it with the known documents."""
        disks = await self._catalogue.workspace_disks(workspace.id)
        was_folder = any(document.path != workspace.path for document in known)
        root = Path(workspace.path)
        used = {
            path: disk
            for path, disk in disks.items()
            if path == workspace.path or _has_indexed(known, path)
        }
        may_be_read = _read_before(known) if fingerprints.same_rules else None
        scan = WorkspaceScan(
            root, self._config.data_dir, self._max_bytes, used, was_folder, may_be_read
        )
        forgotten = await self._forgetting.forgotten_paths()
        files = _CountedFiles(skip_forgotten(self._seen(scan.files(options)), forgotten))
        is_changed = fingerprints.previous != fingerprints.current

        def compare() -> list[Change]:
            return plan(
                known,
                files,
                lambda path: hash_file(path, fingerprints.chunking, self._max_bytes),
                retry_failed=options.retry is Retry.FAILED,
                retry_limited=options.retry is Retry.LIMITED or is_changed,
                retry_scanned=options.retry is Retry.SCANNED,
                reread=fingerprints.reread,
            )

        async with background_tasks() as tasks:
            tasks.create_task(_report_count(files, run))
            changes = await self._run_on_disk(workspace, compare)
        if options.only is None and scan.disks != disks:
            await self._catalogue.set_workspace_disks(workspace.id, scan.disks)
        return changes

    def _seen(self, files: Iterable[SeenFile]) -> Iterator[SeenFile]:
        """Skip pictures while nothing recognises their text."""
        for seen in files:
            if self._recogniser is None and seen.reason is None and is_picture(seen.file.path):
                yield SeenFile(seen.file, NOT_RECOGNISED)
            else:
                yield seen

    async def _run_on_disk(
        self, workspace: Workspace, compare: Callable[[], list[Change]]
    ) -> list[Change]:
        """Run `compare` in a thread; check first that the disk answers, because a scan is slow."""
        disk = ("walk", workspace.path)
        try:
            await call_disk(disk, DISK_TIMEOUT_SECONDS, os.path.lexists, workspace.path)
            return await call_disk(disk, None, compare)
        except TimeoutError as exc:
            raise StorageError(
                f"The disk of {workspace.path} does not answer.",
                "Its indexed documents can still be searched; Allma tries again later.",
            ) from exc

    def _has_files(self, root: Path, path: str) -> bool:
        scan = WorkspaceScan(root, self._config.data_dir, self._max_bytes, {}, was_folder=True)
        return scan.has_files(path)


def _read_before(known: Sequence[Document]) -> Callable[[FileFacts], bool]:
    """Return a test for the files that are indexed as they are now."""
    indexed = {document.path: document for document in known if document.state == "indexed"}

    def may_be_read(file: FileFacts) -> bool:
        document = indexed.get(file.path)
        return document is not None and is_unchanged(document, file)

    return may_be_read


def _has_indexed(known: Sequence[Document], folder: str) -> bool:
    return any(d.state == "indexed" and is_inside(d.path, folder) for d in known)


class _CountedFiles:
    """Iterates over files and counts them."""

    def __init__(self, files: Iterable[SeenFile]) -> None:
        self._files = files
        self.count = 0

    def __iter__(self) -> Iterator[SeenFile]:
        for file in self._files:
            self.count += 1
            yield file


async def _report_count(files: _CountedFiles, progress: Progress) -> None:
    while True:
        await asyncio.sleep(COUNT_INTERVAL_SECONDS)
        await progress.report(0, None, f"looking for files: {files.count:,} so far")
