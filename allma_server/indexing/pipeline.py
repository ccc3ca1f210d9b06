"""Carry out the changes of one run: load, parse, embed, store.

Changes without reading (moves, removals, skipped files) come first. Then files go through three
stages that are joined by bounded queues, so that they overlap and memory stays bounded:

    load and parse ─► embed ─► store

A document is published in one transaction after its vectors are made; until then, its old version
serves. It does not wait long for an embedder: passages without vectors are found by their words,
and `vector_backfill.py` makes the vectors later. Before each small step, the pipeline lets more
urgent work go first.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from allma_server._internal.file_hash import file_hash
from allma_server._internal.path_text import shown
from allma_server._internal.workspace_files import open_file
from allma_server.errors import (
    DocumentNotFound,
    InputRefused,
    NothingToIndex,
    NotRecognised,
    UnreadableDocument,
)
from allma_server.indexing.batch_embedder import EMBED_BATCH, BatchEmbedder, Embedded
from allma_server.indexing.jobs import Run
from allma_server.indexing.plan import NOT_OPENED, NOT_READABLE
from allma_server.indexing.progress import Counts, Estimate
from allma_server.indexing.scan_versions import ScanVersions
from allma_server.indexing.schedule import Priority
from allma_server.ports import Embedder, Ledger, Parser, TextRecogniser
from allma_server.types import (
    FAILED_PAGES,
    SCANNED,
    Add,
    Change,
    Document,
    FileFacts,
    FileOutcome,
    FileReason,
    IngestReport,
    Keep,
    Move,
    Parsed,
    RecognisedPage,
    Remove,
    Skip,
    Update,
    Workspace,
    format_of,
    is_picture,
    recognition_note,
)

QUEUE_SIZE = 32
"""Documents that may wait between two stages."""

LOADERS = 4
"""Files that are loaded at once; more than the parser has processes, so that these stay busy."""

CHANGES_PER_TRANSACTION = 200
"""Changes without reading that are written in one transaction."""


@dataclass(slots=True)
class _ParsedFile:
    """A parsed file; `version` decides whether it may still be written."""

    file: FileFacts
    version: int
    content_hash: str
    parsed: Parsed
    is_update: bool

    @property
    def texts(self) -> dict[bytes, str]:
        """The texts to embed, by hash."""
        return {chunk.text_hash: chunk.embedded_text for chunk in self.parsed.chunks}


@dataclass(slots=True)
class _EmbeddedFile:
    """A parsed file with what the embedder made of its texts; of some nothing, if it failed."""

    parsed_file: _ParsedFile
    embedder: str
    embedded: Embedded


class Pipeline:
    """Carries out the changes of one run over one workspace.

    `scan_number` is the version of the scan that found the changes. Files of more than `max_bytes`
    are not read.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        ledger: Ledger,
        parser: Parser,
        embedder: Callable[[], Awaitable[Embedder]],
        recogniser: TextRecogniser | None,
        chunking_fingerprint: str,
        max_bytes: int,
        run: Run,
        scan_versions: ScanVersions,
        scan_number: int,
    ) -> None:
        self._workspace = workspace
        self._ledger = ledger
        self._parser = parser
        self._embedder = embedder
        self._recogniser = recogniser
        self._chunking_fingerprint = chunking_fingerprint
        self._max_bytes = max_bytes
        self._run = run
        self._scan_versions = scan_versions
        self._scan_number = scan_number
        self._batch_embedder = BatchEmbedder(ledger, run)
        self._counts = Counts()
        self._estimate = Estimate(())

    async def run(self, changes: Sequence[Change]) -> IngestReport:
        """Carry out the changes and report them.

        A document that cannot be embedded now is published without vectors.

        Raises:
            StorageError: the disk failed; what was published stays.
        """
        began = time.monotonic()
        self._counts = Counts(total=len(changes))
        to_read = [change for change in changes if isinstance(change, Add | Update)]
        to_read += await self._apply([c for c in changes if not isinstance(c, Add | Update)])
        if to_read:
            await self._run_stages(to_read)
        self._counts.notice = self._batch_embedder.notice
        await self._report("")
        return self._counts.report(time.monotonic() - began)

    async def _run_stages(self, to_read: Sequence[Add | Update]) -> None:
        self._estimate = Estimate([change.file.size for change in to_read])
        parsed: asyncio.Queue[_ParsedFile | None] = asyncio.Queue(QUEUE_SIZE)
        embedded: asyncio.Queue[_EmbeddedFile | None] = asyncio.Queue(QUEUE_SIZE)
        try:
            async with asyncio.TaskGroup() as stages:
                stages.create_task(self._load(to_read, parsed))
                stages.create_task(self._embed(parsed, embedded))
                stages.create_task(self._store(embedded))
        except BaseExceptionGroup as group:
            raise _first_exception(group) from None

    # --- changes without reading ------------------------------------------------------------

    async def _apply(self, changes: Sequence[Move | Remove | Skip | Keep]) -> list[Add]:
        """Carry out changes without reading; return moved files that must be read after all."""
        self._counts.unchanged = sum(isinstance(change, Keep) for change in changes)
        await self._report("")
        to_read: list[Add] = []
        others = [change for change in changes if not isinstance(change, Keep)]
        for begin in range(0, len(others), CHANGES_PER_TRANSACTION):
            await self._run.wait_for_turn()
            async with self._run.schedule.writing:
                to_read += await self._apply_batch(others[begin : begin + CHANGES_PER_TRANSACTION])
            await self._report("")
        return to_read

    async def _apply_batch(self, changes: Sequence[Move | Remove | Skip]) -> list[Add]:
        removed: list[int] = []
        skipped: list[FileOutcome] = []
        to_read: list[Add] = []
        for change in changes:
            path = change.known.path if isinstance(change, Remove) else change.file.path
            if not self._scan_versions.is_latest(path, self._scan_number):
                self._counts.superseded += 1
                continue
            match change:
                case Remove(known):
                    removed.append(known.id)
                case Skip(file, reason, unreadable=True):
                    skipped.append(FileOutcome(file, "failed", reason, NOT_READABLE))
                case Skip(file, reason):
                    skipped.append(FileOutcome(file, "skipped", reason, NOT_OPENED))
                case Move(file, known):
                    to_read += await self._move(file, known.id)
        if removed:
            await self._ledger.remove(removed)
            self._counts.removed += len(removed)
        await self._record(skipped)
        return to_read

    async def _move(self, file: FileFacts, document_id: int) -> list[Add]:
        try:
            await self._ledger.move(document_id, self._workspace, file)
        except DocumentNotFound:
            return [Add(file)]
        self._counts.updated += 1
        return []

    async def _record(self, outcomes: Sequence[FileOutcome]) -> None:
        if not outcomes:
            return
        await self._ledger.record(self._workspace, outcomes)
        for outcome in outcomes:
            listed = self._counts.failed if outcome.state == "failed" else self._counts.skipped
            listed.append(FileReason(outcome.file.path, outcome.reason))

    # --- stage 1: load and parse ------------------------------------------------------------

    async def _load(
        self, to_read: Sequence[Add | Update], out: asyncio.Queue[_ParsedFile | None]
    ) -> None:
        pending = iter(to_read)

        async def load() -> None:
            for change in pending:  # shared by all loaders: each takes the next change
                await self._run.wait_for_turn()
                await self._report(change.file.path)
                if (parsed_file := await self._load_file(change)) is not None:
                    await out.put(parsed_file)
                else:
                    self._estimate.file_done(change.file.size)

        async with asyncio.TaskGroup() as loaders:
            for _ in range(LOADERS):
                loaders.create_task(load())
        await out.put(None)

    async def _load_file(self, change: Add | Update) -> _ParsedFile | None:
        """Read and parse a file; return None when it is unchanged, superseded or cannot be read."""
        file = change.file
        version = self._scan_versions.begin_file(file.path, self._scan_number)
        if version is None:
            self._counts.superseded += 1
            return None
        known = change.known if isinstance(change, Update) else None
        digest = ""
        try:
            digest = await asyncio.to_thread(
                hash_file, file.path, self._chunking_fingerprint, self._max_bytes
            )
            if known is not None and known.content_hash == digest and _is_complete(known):
                # False when the document was removed meanwhile.
                if await self._ledger.touch(known.id, file):
                    self._counts.unchanged += 1
                    return None
            parsed = await self._parse(file)
            if parsed.chunks:
                return _ParsedFile(file, version, digest, parsed, known is not None)
            await self._reject(_not_recognised(file, parsed.metadata), version)
        except NothingToIndex as exc:
            await self._reject(FileOutcome(file, "skipped", exc.message, exc.code), version)
        except UnreadableDocument as exc:
            await self._reject(FileOutcome(file, "failed", exc.message, exc.code), version)
        except OSError as exc:
            reason = f"cannot be read: {exc.strerror or exc}"
            await self._reject(FileOutcome(file, "failed", reason, NOT_READABLE), version)
        return None

    async def _parse(self, file: FileFacts) -> Parsed:
        urgent = self._run.priority <= Priority.SAVED
        known: dict[int, RecognisedPage] | None = None
        if self._recogniser is not None and _may_be_scanned(file.path):
            content = await asyncio.to_thread(
                hash_file, file.path, self._recogniser.identity, self._max_bytes
            )
            known = await self._ledger.recognised_pages(content)
        return await self._parser.parse(file.path, file.size, urgent=urgent, recognised=known)

    async def _reject(self, outcome: FileOutcome, version: int) -> None:
        """Record a file that is not indexed, unless it is gone or another run has read it since.

        A run that sees that it is gone may have been here before, and would leave this row behind.
        """
        exists = await asyncio.to_thread(_exists, outcome.file.path)
        async with self._run.schedule.writing:
            if exists and self._scan_versions.is_latest(outcome.file.path, version):
                await self._record([outcome])
            else:
                self._counts.superseded += 1

    # --- stage 2: embed ---------------------------------------------------------------------

    async def _embed(
        self, source: asyncio.Queue[_ParsedFile | None], out: asyncio.Queue[_EmbeddedFile | None]
    ) -> None:
        more = True
        while more:
            batch: list[_ParsedFile] = []
            texts: dict[bytes, str] = {}
            # Wait for one file, then add the files that are ready.
            while more and len(texts) < EMBED_BATCH:
                if batch and source.empty():
                    break
                parsed_file = await source.get()
                if parsed_file is None:
                    more = False
                    break
                batch.append(parsed_file)
                texts |= parsed_file.texts
            if not batch:
                break
            embedder = await self._embedder()
            embedded = await self._embed_texts(embedder, texts, batch[0].file.path)
            for parsed_file in batch:
                own = embedded.of(parsed_file.texts)
                await out.put(_EmbeddedFile(parsed_file, embedder.identity, own))
        await out.put(None)

    async def _embed_texts(
        self, embedder: Embedder, texts: dict[bytes, str], path: str
    ) -> Embedded:
        return await self._batch_embedder.embed(
            embedder, texts, lambda detail: self._report(path, detail)
        )

    # --- stage 3: store ---------------------------------------------------------------------

    async def _store(self, source: asyncio.Queue[_EmbeddedFile | None]) -> None:
        while (item := await source.get()) is not None:
            await self._run.wait_for_turn()
            async with self._run.schedule.writing:
                await self._publish(item)
            self._estimate.file_done(item.parsed_file.file.size)
            self._batch_embedder.mark_stored(item.embedder, item.embedded.vectors)
            await self._report(item.parsed_file.file.path)

    async def _publish(self, item: _EmbeddedFile) -> None:
        parsed_file = item.parsed_file
        if not self._scan_versions.is_latest(parsed_file.file.path, parsed_file.version):
            self._counts.superseded += 1
            return
        await self._ledger.publish(
            self._workspace,
            parsed_file.file,
            parsed_file.content_hash,
            parsed_file.parsed,
            item.embedder,
            item.embedded.vectors,
            item.embedded.refused,
        )
        if parsed_file.is_update:
            self._counts.updated += 1
        else:
            self._counts.indexed += 1
        self._counts.chunks += len(parsed_file.parsed.chunks)

    async def _report(self, path: str, detail: str = "") -> None:
        details = ", ".join(filter(None, (detail, self._estimate.text if path else "")))
        message = f"{shown(path)} ({details})" if details else shown(path)
        await self._run.report(self._counts.done, self._counts.total, message)


def _exists(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # it may exist
    return True


def _is_complete(document: Document) -> bool:
    """Whether an unchanged document needs no reading: it is indexed, with all its vectors."""
    in_part = document.reason_code == InputRefused.code or (
        {SCANNED, FAILED_PAGES} & document.metadata.keys()
    )
    return document.state == "indexed" and not in_part


def _may_be_scanned(path: str) -> bool:
    return is_picture(path) or format_of(path) == "pdf"


def _not_recognised(file: FileFacts, metadata: dict[str, str]) -> FileOutcome:
    note = recognition_note(metadata)
    return FileOutcome(file, "skipped", note, NotRecognised.code, metadata)


def hash_file(path: str, purpose: str, max_bytes: int) -> str:
    """Return the hash of a file's content for a purpose (`_internal/file_hash.py`); blocks.

    The purpose of most is the chunking fingerprint (chunker version and sizes), so that other
    chunking makes every document a changed one.

    Raises:
        NothingToIndex: it is not a regular file of at most `max_bytes`, or a link leads to it.
        OSError: it cannot be read.
    """
    with open_file(path, max_bytes) as source:
        return file_hash(source.blocks(), purpose)


def _first_exception(group: BaseExceptionGroup[BaseException]) -> BaseException:
    exc: BaseException = group
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return exc  # pyright: ignore[reportUnknownVariableType]
