"""Load, parse, embed, store: three stages joined by bounded queues.

Files are parsed while others are embedded and stored, and memory stays flat. A document is
published in one transaction after all its vectors exist; until then its old version serves.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from allma_server.errors import NothingToIndex, UnreadableDocument
from allma_server.model import (
    Add,
    Change,
    FileFacts,
    FileReason,
    IngestReport,
    Keep,
    Move,
    Parsed,
    Remove,
    Skip,
    Update,
    Workspace,
)
from allma_server.path_text import shown
from allma_server.ports import Embedder, Ledger, Parser, Progress, Vector
from allma_server.workspace_files import open_file

PARSED_AHEAD = 32
"""Documents that may wait between two stages."""

LOADERS = 4
"""Files on their way to the parser at once; one more than its processes keeps them busy."""

HASH_SECONDS = 60.0
"""How long a disk may take to read one file."""

EMBED_AT_ONCE = 64
"""Texts handed to the embedder together; between two such batches a run may be held up."""


@dataclass(slots=True)
class _Loaded:
    file: FileFacts
    content_hash: str
    parsed: Parsed
    update: bool


@dataclass(slots=True)
class _Tally:
    """The report in the making."""

    total: int
    indexed: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks: int = 0
    skipped: list[FileReason] = field(default_factory=list[FileReason])
    failed: list[FileReason] = field(default_factory=list[FileReason])

    @property
    def done(self) -> int:
        settled = self.indexed + self.updated + self.unchanged + self.removed
        return settled + len(self.skipped) + len(self.failed)

    def report(self, seconds: float) -> IngestReport:
        return IngestReport(
            indexed=self.indexed,
            updated=self.updated,
            unchanged=self.unchanged,
            removed=self.removed,
            skipped=self.skipped,
            failed=self.failed,
            chunks=self.chunks,
            seconds=round(seconds, 3),
        )


async def _at_once() -> None: ...


class Pipeline:
    """One run over the changes of one workspace.

    `most`: bytes of a file that is read. `clear` is awaited before each batch is embedded, and may
    hold it up.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        ledger: Ledger,
        parser: Parser,
        embedder: Embedder,
        recipe: str,
        most: int,
        progress: Progress,
        clear: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        self._workspace = workspace
        self._ledger = ledger
        self._parser = parser
        self._embedder = embedder
        self._recipe = recipe
        self._most = most
        self._progress = progress
        self._clear = clear
        self._tally = _Tally(0)
        self._unstored: dict[bytes, Vector] = {}

    async def run(self, changes: Sequence[Change]) -> IngestReport:
        """Carries the changes out and reports them.

        Raises:
            ProviderError: the embedder failed; what was published stays, the rest is left to do.
            StorageError: the disk did not take it; likewise.
        """
        began = time.monotonic()
        self._tally = _Tally(total=len(changes))
        to_read: list[Add | Update] = []
        for change in changes:
            match change:
                case Add() | Update():
                    to_read.append(change)
                case _:
                    await self._settle(change)
        await self._read_embed_store(to_read)
        await self._say("")
        return self._tally.report(time.monotonic() - began)

    async def _settle(self, change: Move | Remove | Skip | Keep) -> None:
        match change:
            case Keep():
                self._tally.unchanged += 1
            case Move(file, known):
                await self._ledger.move(known.id, self._workspace, file)
                self._tally.updated += 1
            case Remove(known):
                await self._ledger.remove([known.id])
                self._tally.removed += 1
            case Skip(file, reason):
                await self._skip(file, reason)

    async def _skip(self, file: FileFacts, reason: str) -> None:
        code = NothingToIndex.code
        await self._ledger.record(self._workspace, file, "", "skipped", reason, code)
        self._tally.skipped.append(FileReason(file.path, reason))

    async def _fail(
        self, file: FileFacts, reason: str, code: str = UnreadableDocument.code
    ) -> None:
        await self._ledger.record(self._workspace, file, "", "failed", reason, code)
        self._tally.failed.append(FileReason(file.path, reason))

    async def _read_embed_store(self, to_read: Sequence[Add | Update]) -> None:
        if not to_read:
            return
        loaded: asyncio.Queue[_Loaded | None] = asyncio.Queue(PARSED_AHEAD)
        embedded: asyncio.Queue[tuple[_Loaded, dict[bytes, Vector]] | None] = asyncio.Queue(
            PARSED_AHEAD
        )
        try:
            async with asyncio.TaskGroup() as stages:
                stages.create_task(self._load(to_read, loaded))
                stages.create_task(self._embed(loaded, embedded))
                stages.create_task(self._store(embedded))
        except BaseExceptionGroup as group:
            raise _first(group) from None

    # --- stage one: read and chunk ----------------------------------------------------------

    async def _load(
        self, to_read: Sequence[Add | Update], out: asyncio.Queue[_Loaded | None]
    ) -> None:
        todo = iter(to_read)

        async def load() -> None:
            for change in todo:  # shared by all loaders: each takes the next one
                if (document := await self._load_one(change)) is not None:
                    await out.put(document)

        async with asyncio.TaskGroup() as loaders:
            for _ in range(LOADERS):
                loaders.create_task(load())
        await out.put(None)

    async def _load_one(self, change: Add | Update) -> _Loaded | None:
        file = change.file
        known = change.known if isinstance(change, Update) else None
        digest = ""
        try:
            digest = await asyncio.to_thread(hash_file, file.path, self._recipe, self._most)
            if known is not None and known.content_hash == digest and known.state == "indexed":
                await self._ledger.touch(known.id, file)
                self._tally.unchanged += 1
                return None
            parsed = await self._parser.parse(file.path)
            return _Loaded(file, digest, parsed, known is not None)
        except NothingToIndex as exc:
            await self._skip(file, exc.message)
        except UnreadableDocument as exc:
            await self._fail(file, exc.message, exc.code)
        except OSError as exc:
            await self._fail(file, f"cannot be read: {exc.strerror or exc}")
        return None

    # --- stage two: embed -------------------------------------------------------------------

    async def _embed(
        self,
        source: asyncio.Queue[_Loaded | None],
        out: asyncio.Queue[tuple[_Loaded, dict[bytes, Vector]] | None],
    ) -> None:
        more = True
        while more:
            batch: list[_Loaded] = []
            texts: dict[bytes, str] = {}
            # Wait for one document, then take what has piled up meanwhile.
            while more and len(texts) < EMBED_AT_ONCE:
                if batch and source.empty():
                    break
                document = await source.get()
                if document is None:
                    more = False
                    break
                batch.append(document)
                texts.update((c.text_hash, c.embedded_text) for c in document.parsed.chunks)
            vectors = await self._vectors(texts)
            for document in batch:
                needed = {c.text_hash: vectors[c.text_hash] for c in document.parsed.chunks}
                await out.put((document, needed))
        await out.put(None)

    async def _vectors(self, texts: dict[bytes, str]) -> dict[bytes, Vector]:
        # First: what is stored meanwhile is in the ledger when that is asked.
        vectors = {text: self._unstored[text] for text in texts if text in self._unstored}
        unknown = texts.keys() - vectors.keys()
        vectors |= await self._ledger.cached_vectors(self._embedder.identity, unknown)
        missing = [digest for digest in texts if digest not in vectors]
        for begin in range(0, len(missing), EMBED_AT_ONCE):
            await self._clear()
            slice_ = missing[begin : begin + EMBED_AT_ONCE]
            embedded = await self._embedder.embed_documents([texts[digest] for digest in slice_])
            fresh = dict(zip(slice_, embedded, strict=True))
            vectors |= fresh
            self._unstored |= fresh
        return vectors

    # --- stage three: store -----------------------------------------------------------------

    async def _store(
        self, source: asyncio.Queue[tuple[_Loaded, dict[bytes, Vector]] | None]
    ) -> None:
        while (item := await source.get()) is not None:
            document, vectors = item
            await self._ledger.publish(
                self._workspace,
                document.file,
                document.content_hash,
                document.parsed,
                self._embedder.identity,
                vectors,
            )
            for text in vectors:
                self._unstored.pop(text, None)
            if document.update:
                self._tally.updated += 1
            else:
                self._tally.indexed += 1
            self._tally.chunks += len(document.parsed.chunks)
            await self._say(document.file.path)

    async def _say(self, path: str) -> None:
        await self._progress.report(self._tally.done, self._tally.total, shown(path))


def hash_file(path: str, recipe: str, most: int) -> str:
    """32 hex digits for what a file holds and how it would be cut; blocks.

    The recipe (chunker version and sizes) is part of it, so that another recipe makes every
    document a changed one.

    Raises:
        NothingToIndex: it is not a regular file of at most `most` bytes, come to without a link.
        OSError: it cannot be read.
    """
    digest = blake2b(recipe.encode(), digest_size=16)
    with open_file(path, most) as source:
        for block in source.blocks():
            digest.update(block)
    return digest.hexdigest()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    exc: BaseException = group
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return exc  # pyright: ignore[reportUnknownVariableType]
