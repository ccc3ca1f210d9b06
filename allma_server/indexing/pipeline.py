"""Load, parse, embed, store: three stages joined by bounded queues.

Files are parsed while others are embedded and stored, and memory stays flat. A document is
published in one transaction after all its vectors exist; until then its old version serves. Before
each small step the pipeline lets more urgent work pass.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from allma_server._internal.path_text import shown
from allma_server._internal.workspace_files import open_file
from allma_server.errors import (
    DocumentNotFound,
    InputRefused,
    NothingToIndex,
    ProviderError,
    UnreadableDocument,
)
from allma_server.indexing.jobs import Run
from allma_server.indexing.plan import NOT_OPENED, NOT_READABLE
from allma_server.indexing.progress import Estimate, Tally
from allma_server.indexing.schedule import Looks, Priority
from allma_server.ports import Embedder, Ledger, Parser, Vector
from allma_server.types import (
    Add,
    Change,
    FileFacts,
    FileOutcome,
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

PARSED_AHEAD = 32
"""Documents that may wait between two stages."""

LOADERS = 4
"""Files on their way to the parser at once; one more than its processes keeps them busy."""

EMBED_AT_ONCE = 64
"""Texts handed to the embedder together; between two such batches a run may be held up."""

SETTLED_AT_ONCE = 200
"""Files that need not be read, in one transaction."""

AWAY_SECONDS = 30.0
"""An embedder that failed is left alone for so long; documents go without vectors meanwhile."""


@dataclass(slots=True)
class _Loaded:
    """A file that was read; `look` says whether it is still the latest to have been."""

    file: FileFacts
    look: int
    content_hash: str
    parsed: Parsed
    update: bool


@dataclass(slots=True)
class _Embedded:
    document: _Loaded
    embedder: str
    vectors: dict[bytes, Vector]


class Pipeline:
    """One run over the changes of one workspace; `look` is when it began to look at the disk.

    `most`: bytes of a file that is read.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        ledger: Ledger,
        parser: Parser,
        embedder: Callable[[], Awaitable[Embedder]],
        recipe: str,
        most: int,
        run: Run,
        looks: Looks,
        look: int,
    ) -> None:
        self._workspace = workspace
        self._ledger = ledger
        self._parser = parser
        self._embedder = embedder
        self._recipe = recipe
        self._most = most
        self._run = run
        self._looks = looks
        self._look = look
        self._tally = Tally()
        self._estimate = Estimate(())
        self._unstored: dict[tuple[str, bytes], Vector] = {}
        self._away_until = float("-inf")

    async def run(self, changes: Sequence[Change]) -> IngestReport:
        """Carries the changes out and reports them.

        A document whose texts the embedder does not take now is published without vectors.

        Raises:
            StorageError: the disk did not take it; what was published stays.
        """
        began = time.monotonic()
        self._tally = Tally(total=len(changes))
        to_read = [change for change in changes if isinstance(change, Add | Update)]
        to_read += await self._settle([c for c in changes if not isinstance(c, Add | Update)])
        await self._read_embed_store(to_read)
        await self._say("")
        return self._tally.report(time.monotonic() - began)

    # --- what need not be read --------------------------------------------------------------

    async def _settle(self, changes: Sequence[Move | Remove | Skip | Keep]) -> list[Add]:
        """Carries out what needs no reading; the moved files that must be read after all."""
        self._tally.unchanged = sum(isinstance(change, Keep) for change in changes)
        await self._say("")
        left: list[Add] = []
        others = [change for change in changes if not isinstance(change, Keep)]
        for begin in range(0, len(others), SETTLED_AT_ONCE):
            await self._run.clear()
            async with self._run.schedule.writing:
                left += await self._settle_some(others[begin : begin + SETTLED_AT_ONCE])
            await self._say("")
        return left

    async def _settle_some(self, changes: Sequence[Move | Remove | Skip]) -> list[Add]:
        removed: list[int] = []
        skipped: list[FileOutcome] = []
        left: list[Add] = []
        for change in changes:
            path = change.known.path if isinstance(change, Remove) else change.file.path
            if not self._looks.is_latest(path, self._look):
                self._tally.superseded += 1
                continue
            match change:
                case Remove(known):
                    removed.append(known.id)
                case Skip(file, reason, closed=True):
                    skipped.append(FileOutcome(file, "failed", reason, NOT_READABLE))
                case Skip(file, reason):
                    skipped.append(FileOutcome(file, "skipped", reason, NOT_OPENED))
                case Move(file, known):
                    left += await self._move(file, known.id)
        if removed:
            await self._ledger.remove(removed)
            self._tally.removed += len(removed)
        await self._record(skipped)
        return left

    async def _move(self, file: FileFacts, document_id: int) -> list[Add]:
        try:
            await self._ledger.move(document_id, self._workspace, file)
        except DocumentNotFound:
            return [Add(file)]
        self._tally.updated += 1
        return []

    async def _record(self, outcomes: Sequence[FileOutcome]) -> None:
        if not outcomes:
            return
        await self._ledger.record(self._workspace, outcomes)
        for outcome in outcomes:
            listed = self._tally.failed if outcome.state == "failed" else self._tally.skipped
            listed.append(FileReason(outcome.file.path, outcome.reason))

    async def _read_embed_store(self, to_read: Sequence[Add | Update]) -> None:
        if not to_read:
            return
        self._estimate = Estimate([change.file.size for change in to_read])
        loaded: asyncio.Queue[_Loaded | None] = asyncio.Queue(PARSED_AHEAD)
        embedded: asyncio.Queue[_Embedded | None] = asyncio.Queue(PARSED_AHEAD)
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
                await self._run.clear()
                await self._say(change.file.path)
                if (document := await self._load_one(change)) is not None:
                    await out.put(document)
                else:
                    self._estimate.read(change.file.size)

        async with asyncio.TaskGroup() as loaders:
            for _ in range(LOADERS):
                loaders.create_task(load())
        await out.put(None)

    async def _load_one(self, change: Add | Update) -> _Loaded | None:
        file = change.file
        look = self._looks.take(file.path, self._look)
        if look is None:
            self._tally.superseded += 1
            return None
        known = change.known if isinstance(change, Update) else None
        digest = ""
        try:
            digest = await asyncio.to_thread(hash_file, file.path, self._recipe, self._most)
            if known is not None and known.content_hash == digest and known.state == "indexed":
                # Not so when it was removed meanwhile.
                if await self._ledger.touch(known.id, file):
                    self._tally.unchanged += 1
                    return None
            urgent = self._run.priority <= Priority.SAVED
            parsed = await self._parser.parse(file.path, file.size, urgent=urgent)
            return _Loaded(file, look, digest, parsed, known is not None)
        except NothingToIndex as exc:
            await self._refuse(FileOutcome(file, "skipped", exc.message, exc.code), look)
        except UnreadableDocument as exc:
            await self._refuse(FileOutcome(file, "failed", exc.message, exc.code), look)
        except OSError as exc:
            reason = f"cannot be read: {exc.strerror or exc}"
            await self._refuse(FileOutcome(file, "failed", reason, NOT_READABLE), look)
        return None

    async def _refuse(self, outcome: FileOutcome, look: int) -> None:
        async with self._run.schedule.writing:
            if self._looks.is_latest(outcome.file.path, look):
                await self._record([outcome])
            else:
                self._tally.superseded += 1

    # --- stage two: embed -------------------------------------------------------------------

    async def _embed(
        self, source: asyncio.Queue[_Loaded | None], out: asyncio.Queue[_Embedded | None]
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
                texts |= _texts(document)
            if not batch:
                break
            embedder = await self._embedder()
            try:
                vectors = await self._vectors(embedder, texts, batch[0].file.path)
            except InputRefused:
                batch, vectors = await self._apart(embedder, batch)
            for document in batch:
                hashes = {chunk.text_hash for chunk in document.parsed.chunks}
                needed = {digest: vectors[digest] for digest in hashes & vectors.keys()}
                await out.put(_Embedded(document, embedder.identity, needed))
        await out.put(None)

    async def _apart(
        self, embedder: Embedder, batch: Sequence[_Loaded]
    ) -> tuple[list[_Loaded], dict[bytes, Vector]]:
        """Documents that the embedder takes, each by itself, and their vectors; others fail."""
        taken: list[_Loaded] = []
        vectors: dict[bytes, Vector] = {}
        for document in batch:
            texts = _texts(document)
            try:
                vectors |= await self._vectors(embedder, texts, document.file.path)
            except InputRefused as exc:
                outcome = FileOutcome(document.file, "failed", refusal_of(exc), exc.code)
                await self._refuse(outcome, document.look)
                self._estimate.read(document.file.size)
            else:
                taken.append(document)
        return taken, vectors

    async def _vectors(
        self, embedder: Embedder, texts: dict[bytes, str], path: str
    ) -> dict[bytes, Vector]:
        """The vectors of these texts, known or made now; not all of them if that fails.

        Raises:
            InputRefused: the embedder does not take one of them.
        """
        name, made = embedder.identity, self._unstored
        # First: what is stored meanwhile is in the ledger when that is asked.
        vectors = {text: made[name, text] for text in texts if (name, text) in made}
        unknown = texts.keys() - vectors.keys()
        vectors |= await self._ledger.cached_vectors(name, unknown)
        missing = [digest for digest in texts if digest not in vectors]
        for begin in range(0, len(missing), EMBED_AT_ONCE):
            await self._run.quiet()
            if time.monotonic() < self._away_until:
                break
            slice_ = missing[begin : begin + EMBED_AT_ONCE]
            if len(missing) > EMBED_AT_ONCE:
                await self._say(path, f"{begin} of {len(missing)} passages")
            wanted = [texts[digest] for digest in slice_]
            urgent = self._run.priority <= Priority.ASKED
            try:
                embedded = await embedder.embed_documents(wanted, urgent=urgent)
            except InputRefused:
                raise
            except ProviderError as exc:
                self._away_until = time.monotonic() + AWAY_SECONDS
                self._tally.notice = f"Some documents are found by their words only so far: {exc}"
                break
            fresh = dict(zip(slice_, embedded, strict=True))
            vectors |= fresh
            made.update({(name, text): vector for text, vector in fresh.items()})
        return vectors

    # --- stage three: store -----------------------------------------------------------------

    async def _store(self, source: asyncio.Queue[_Embedded | None]) -> None:
        while (item := await source.get()) is not None:
            await self._run.clear()
            async with self._run.schedule.writing:
                await self._publish(item)
            self._estimate.read(item.document.file.size)
            for text in item.vectors:
                self._unstored.pop((item.embedder, text), None)
            await self._say(item.document.file.path)

    async def _publish(self, item: _Embedded) -> None:
        document = item.document
        if not self._looks.is_latest(document.file.path, document.look):
            self._tally.superseded += 1
            return
        await self._ledger.publish(
            self._workspace,
            document.file,
            document.content_hash,
            document.parsed,
            item.embedder,
            item.vectors,
        )
        if document.update:
            self._tally.updated += 1
        else:
            self._tally.indexed += 1
        self._tally.chunks += len(document.parsed.chunks)

    async def _say(self, path: str, detail: str = "") -> None:
        words = ", ".join(filter(None, (detail, self._estimate.words if path else "")))
        message = f"{shown(path)} ({words})" if words else shown(path)
        await self._run.report(self._tally.done, self._tally.total, message)


def refusal_of(exc: InputRefused) -> str:
    """What the ledger says of a document with a text that the embedder does not take."""
    return f"The embedder does not take all of it: {exc.message}"


def _texts(document: _Loaded) -> dict[bytes, str]:
    return {chunk.text_hash: chunk.embedded_text for chunk in document.parsed.chunks}


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
