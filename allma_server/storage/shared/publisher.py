"""The one task that writes this engine's shares to the cluster, and erases them there.

A change is written first and removed from the outbox after that: an engine that ends in between
writes it once more. What a cluster lost (a backup that was restored, a tenant that was deleted) is
found by the number of the last change, by counts, and then chunk by chunk by their hashes.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from allma_server._internal.tasks import background_tasks
from allma_server.errors import AllmaError, OtherVectors, ProviderError, ShareFailed
from allma_server.storage.cluster.connection import Cluster
from allma_server.storage.cluster.objects import (
    chunk_id,
    collection,
    count_objects,
    create_collection,
    delete_objects,
    write_objects,
)
from allma_server.storage.shared.chunks import VERSION, collection_name, object_of, properties
from allma_server.storage.shared.registry import (
    Entry,
    create_registry,
    delete_entry,
    entry_of,
    write_entry,
)
from allma_server.storage.shared.tenants import (
    collections_with,
    drop_tenant,
    drop_tenants,
    write_to_disk,
)
from allma_server.storage.shared.vectors import EMBEDDED, ShareVectors
from allma_server.storage.sqlite.shares import PendingShare, Share, Shares

if TYPE_CHECKING:
    from weaviate import WeaviateAsyncClient

log = logging.getLogger(__name__)

BATCH, COMPARED = 500, 1_000
"""Chunks written in one call, and chunks of SQLite compared at a time."""

MANY_WRITTEN = 1_000
"""Written chunks after which a cluster is asked to write them to its disk (`_write_to_disk`)."""

CALL_SECONDS, COMPARE_SECONDS = 60.0, 1_800.0
RETRY_PAUSES = (1.0, 5.0, 30.0, 120.0, 600.0)
"""Seconds before each retry after a failure; the last one repeats."""

T = TypeVar("T")


@dataclass(slots=True)
class _Progress:
    """What is written of a share since it was complete; `last`: the number of the last change."""

    last: int | None = None
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class _Rest:
    """Why the embedder of a share failed, how often in a row, and when it is asked again."""

    reason: str
    failed: int
    until: float


class Publisher:
    """Keeps the cluster equal to SQLite for the shares of this engine.

    `failures`: why a share is not published or erased, by its name.
    """

    def __init__(
        self, shares: Shares, cluster: Cluster, vectors: ShareVectors, changed: asyncio.Event
    ) -> None:
        self.failures: dict[str, str] = {}
        self._shares = shares
        self._cluster = cluster
        self._vectors = vectors
        self._changed = changed
        self._hurried = asyncio.Event()
        self._settled = asyncio.Condition()
        self._checked: dict[int, str] = {}
        self._progress: dict[int, _Progress] = {}
        self._doubted: set[str] = set()
        self._spoilt: set[str] = set()
        self._resting: dict[str, _Rest] = {}
        self._stopping = False

    def hurry(self, name: str) -> None:
        """Publish now, also while a failure of this share would be waited out."""
        self.failures.pop(name, None)
        self._resting.pop(name, None)
        self._wake()

    def compare(self, names: Collection[str]) -> None:
        """Compare every chunk of these shares with what the cluster holds, and publish the rest."""
        self._doubted.update(names)
        self.failures.clear()
        self._resting.clear()
        self._checked.clear()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._hurried.set()

    def stop(self) -> None:
        """Let `run` return after the call in progress."""
        self._stopping = True
        self._wake()

    async def run(self) -> None:
        """Publish after every change, until `stop`."""
        failed = 0
        self._changed.set()
        while not self._stopping:
            until = min((rest.until for rest in self._resting.values()), default=None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._changed.wait()
            self._changed.clear()
            self._hurried.clear()
            failed = 0 if await self._attempt() else failed + 1
            if failed and not self._stopping:
                pause = RETRY_PAUSES[min(failed, len(RETRY_PAUSES)) - 1]
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._hurried.wait()
                self._changed.set()

    async def wait(self, name: str, seconds: float) -> bool:
        """Return whether nothing of a share is pending, or it is erased, within so many seconds."""
        return await self._wait(name, seconds, self.is_settled)

    async def wait_until_erased(self, name: str, seconds: float) -> bool:
        """Return whether the cluster holds nothing that is not in the folder, within that time."""
        return await self._wait(name, seconds, self._has_erased)

    async def _wait(
        self, name: str, seconds: float, is_done: Callable[[str], Awaitable[bool]]
    ) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._settled:
                while not await is_done(name) and name not in self.failures:
                    await self._settled.wait()
        return await is_done(name)

    async def is_settled(self, name: str) -> bool:
        """Return whether the cluster holds all of a share, or nothing of it any longer."""
        share = await self._share(name)
        if share is None:
            return True
        pending = (await self._shares.pending_shares()).get(share.id, 0)
        try:
            name = collection_name(await self._vectors.identity(share))
        except ProviderError:
            return False
        is_complete = self._checked.get(share.id) == name and share.id not in self._progress
        return not share.removed and not pending and is_complete

    async def _has_erased(self, name: str) -> bool:
        share = await self._share(name)
        if share is None:
            return True
        return not share.removed and not await self._shares.pending_deletions(share, 1)

    async def _share(self, name: str) -> Share | None:
        return next((each for each in await self._shares.shares() if each.name == name), None)

    async def _attempt(self) -> bool:
        """Publish what is pending of all shares; return whether nothing failed.

        Whatever fails, the engine and later attempts go on.
        """
        try:
            return await self._publish_all()
        except AllmaError as exc:
            log.warning("sharing failed: %s", exc)
        except Exception:
            log.exception("sharing failed because of a bug")
        return False

    async def _publish_all(self) -> bool:
        """Publish what is pending of all shares; return whether nothing failed.

        What is to be erased comes first, then the share with the fewest changes. A long one is
        interrupted when another is hurried, and continued after that.
        """
        done = True
        pending = await self._shares.pending_shares()
        shares = await self._shares.shares()
        for share in sorted(shares, key=lambda s: (not s.removed, pending.get(s.id, 0))):
            if self._stopping:
                return True
            done &= await self._without_failure(share)
            async with self._settled:
                self._settled.notify_all()
        return done

    async def _without_failure(self, share: Share) -> bool:
        """Publish or erase a share; return whether this did not fail.

        A failure of its embedder is waited out for this share alone.
        """
        try:
            await (self._erase(share) if share.removed else self._publish(share))
        except ProviderError as exc:
            self._rest(share, exc)
        except AllmaError as exc:
            log.warning("sharing %s failed: %s", share.name, exc.message)
            self.failures[share.name] = exc.message
            self._checked.pop(share.id, None)
            if isinstance(exc, OtherVectors):
                self._spoilt.add(share.name)
            return False
        except Exception:
            log.exception("sharing %s failed because of a bug", share.name)
            self.failures[share.name] = "Unexpected error; the log has the details."
            return False
        if (rest := self._resting.get(share.name)) is None:
            self.failures.pop(share.name, None)
        else:
            self.failures[share.name] = rest.reason
            self._checked.pop(share.id, None)
        return True

    # --- publishing -------------------------------------------------------------------------

    async def _publish(self, share: Share) -> None:
        if not await self._write_deletions(share):
            self._changed.set()
            return
        embedder = await self._vectors.identity(share)
        name = collection_name(embedder)
        if self._checked.get(share.id) != name:
            # Compared and completed even if nothing is pending.
            self._progress.setdefault(share.id, _Progress())
            if await self._call(partial(self._check, share, name)):
                compare = partial(self._compare, share, embedder, name)
                await self._cluster.call(compare, limit=COMPARE_SECONDS)
                self._doubted.discard(share.name)
            if not await self._enqueue_without_vector(share, embedder):
                self._changed.set()
                return
            self._checked[share.id] = name
        if not await self._write_pending(share, embedder, name):
            self._changed.set()
        elif (progress := self._progress.get(share.id)) is not None:
            await self._complete(share, embedder, name, progress)
            del self._progress[share.id]

    async def _check(self, share: Share, name: str, client: "WeaviateAsyncClient") -> bool:
        """Make a share's place in the cluster; return whether it may not hold what it should."""
        await create_registry(client)
        entry = await entry_of(client, share.name)
        owner = await self._shares.owner()
        if entry is not None and entry.owner != owner:
            raise ShareFailed(
                f"The name {share.name!r} is taken: another engine shares a folder under it.",
                f"`allma unshare {share.path}`, then share it with `--as` another name.",
            )
        if entry is None:
            await write_entry(client, Entry(share.name, owner, name, "", 0, 0, 0))
        await create_collection(client, name, properties(), tenants=True)
        if share.name in self._spoilt:
            # Only a new tenant takes vectors of another length.
            await drop_tenant(client, name, share.name)
            self._spoilt.discard(share.name)
        tenants = client.collections.use(name).tenants
        if not await tenants.exists(share.name):
            await tenants.create(share.name)
            await self._shares.enqueue_share(share.name)
            return False
        await tenants.activate(share.name)
        known = entry is not None and entry.published == share.published
        return share.name in self._doubted or not known or share.collection != name

    async def _write_deletions(self, share: Share) -> bool:
        """Delete what is not in the folder any longer, wherever the cluster has it.

        That waits neither for what is to be embedded nor for an embedder that cannot be opened.
        Returns False if this was interrupted.
        """
        while batch := await self._shares.pending_deletions(share, BATCH):
            gone = [each.chunk_id for each in batch]
            await self._call(partial(self._delete, share, gone))
            await self._note_written(share, batch)
            if self._stopping or self._hurried.is_set():
                return False
        return True

    async def _delete(
        self, share: Share, chunk_ids: Sequence[int], client: "WeaviateAsyncClient"
    ) -> None:
        if share.collection and self._checked.get(share.id) == share.collection:
            places = [share.collection]
        else:
            # Also with a former embedder: others search there until all is published.
            places = await collections_with(client, share.name, await self._shares.owner())
        for name in places:
            await delete_objects(collection(client, name, share.name), chunk_ids)

    async def _write_pending(self, share: Share, embedder: str | None, name: str) -> bool:
        """Write all pending changes; return False if this was interrupted."""
        made_here = await self._vectors.are_made_here(share)
        limit = min(BATCH, EMBEDDED) if made_here else BATCH
        while batch := await self._shares.pending_for_share(share, embedder, limit):
            bare = {c.chunk_id for c in batch if c.chunk is not None and c.chunk.vector is None}
            if made_here and bare:
                if not await self._embed(share, embedder, bare):
                    return False
                chunks = await self._shares.shared_chunks(share, embedder, bare)
                now = dict.fromkeys(bare) | {each.chunk_id: each for each in chunks}
                batch = [replace(c, chunk=now.get(c.chunk_id, c.chunk)) for c in batch]
            await self._call(partial(self._write, share.name, name, batch))
            await self._note_written(share, batch)
            if self._stopping or self._hurried.is_set():
                return False
        return True

    async def _enqueue_without_vector(self, share: Share, embedder: str | None) -> bool:
        """Make chunks pending that were published while the share's embedder was unavailable.

        Not before it answers. Returns False if this was interrupted.
        """
        bare: list[int] = []
        if embedder is not None and await self._vectors.are_made_here(share):
            bare = await self._shares.without_vector(share, embedder)
        if not bare:
            self._resting.pop(share.name, None)
            return True
        is_done = await self._embed(share, embedder, bare[:EMBEDDED])
        if is_done and not self._rests(share):
            await self._shares.enqueue_share(share.name, bare)
        return is_done

    async def _embed(self, share: Share, embedder: str | None, chunk_ids: Collection[int]) -> bool:
        """Make the vectors of these chunks, unless their embedder has just failed.

        Returns False if this was interrupted, as by the end of the engine.
        """
        if self._rests(share):
            return True
        assert embedder is not None, "the embedder of a share has a name"
        async with background_tasks() as tasks:
            embedding = tasks.create_task(self._vectors.add(share, embedder, chunk_ids))
            hurried = tasks.create_task(self._hurried.wait())
            await asyncio.wait([embedding, hurried], return_when=asyncio.FIRST_COMPLETED)
            if not embedding.done():
                return False
            failure = embedding.result()
        if failure is None:
            self._resting.pop(share.name, None)
        elif isinstance(failure, ProviderError):
            log.warning("embedding %s with %s failed: %s", share.name, share.embedder, failure)
            self._rest(share, failure)
        else:
            raise failure
        return True

    def _rests(self, share: Share) -> bool:
        """Return whether the embedder of a share has failed and is not asked again yet."""
        rest = self._resting.get(share.name)
        return rest is not None and asyncio.get_running_loop().time() < rest.until

    def _rest(self, share: Share, failure: ProviderError) -> None:
        """Leave an embedder that failed alone for a time."""
        if self._rests(share):
            return
        former = self._resting.get(share.name)
        failed = 1 + (former.failed if former is not None else 0)
        pause = RETRY_PAUSES[min(failed, len(RETRY_PAUSES)) - 1]
        until = asyncio.get_running_loop().time() + pause
        reason = (
            f"What has no vector of {share.embedder or 'the embedder'} yet is found by words only: "
            f"{failure.message}"
        )
        self._resting[share.name] = _Rest(reason, failed, until)

    async def _write(
        self, share: str, name: str, batch: list[PendingShare], client: "WeaviateAsyncClient"
    ) -> None:
        chunks = [change.chunk for change in batch if change.chunk is not None]
        objects = await asyncio.to_thread(lambda: [object_of(chunk, share) for chunk in chunks])
        target = collection(client, name, share)
        await delete_objects(target, [each.chunk_id for each in batch if each.chunk is None])
        await write_objects(target, objects)

    async def _note_written(self, share: Share, batch: Sequence[PendingShare]) -> None:
        progress = self._progress.setdefault(share.id, _Progress())
        # Deletions are written before older changes.
        progress.last = max(progress.last or 0, batch[-1].seq)
        progress.chunks += len(batch)
        await self._shares.acknowledge_shares(batch)
        async with self._settled:
            self._settled.notify_all()

    async def _complete(
        self, share: Share, embedder: str | None, name: str, progress: _Progress
    ) -> None:
        """Compare counts, and tell the cluster and SQLite what is published now."""
        documents, chunks = await self._shares.share_size(share)

        async def count(client: "WeaviateAsyncClient") -> int:
            return await count_objects(collection(client, name, share.name))

        if progress.chunks >= MANY_WRITTEN:
            await self._call(partial(write_to_disk, name, share.name))
        # It also has the cluster open the folder again before anybody searches there.
        if (found := await self._call(count)) != chunks:
            log.info("the cluster holds %s of %s chunks of %s", found, chunks, share.name)
            compare = partial(self._compare, share, embedder, name)
            await self._cluster.call(compare, limit=COMPARE_SECONDS)
            await self._write_pending(share, embedder, name)
        owner = await self._shares.owner()
        last = progress.last or share.published
        entry = Entry(share.name, owner, name, embedder or "", documents, chunks, last)
        await self._call(lambda client: write_entry(client, entry))
        await self._shares.note_published(share, name, last)
        if share.collection != name:
            # Published with another embedder before, perhaps only in part.
            await self._call(partial(drop_tenants, share.name, but=name))

    async def _compare(
        self, share: Share, embedder: str | None, name: str, client: "WeaviateAsyncClient"
    ) -> None:
        """Make pending what the cluster does not hold as SQLite does, by hashes."""
        held: dict[int, str] = {}
        target = collection(client, name, share.name)
        async for each in target.iterator(return_properties=[VERSION]):
            held[chunk_id(each.uuid)] = str(each.properties.get(VERSION))
        differing: list[int] = []
        after = -1
        while chunks := await self._shares.chunks_after(share, embedder, after, COMPARED):
            differing += [c.chunk_id for c in chunks if held.pop(c.chunk_id, None) != c.version]
            after = chunks[-1].chunk_id
        if differing or held:
            log.info("%s: %s chunks differ in the cluster", share.name, len(differing) + len(held))
            await self._shares.enqueue_share(share.name, [*differing, *held])

    # --- erasing ----------------------------------------------------------------------------

    async def _erase(self, share: Share) -> None:
        """Erase a share in the cluster, and then here: its absence confirms it."""
        owner = await self._shares.owner()

        async def erase(client: "WeaviateAsyncClient") -> None:
            await create_registry(client)
            entry = await entry_of(client, share.name)
            if entry is not None and entry.owner != owner:
                return
            await drop_tenants(share.name, client)
            await delete_entry(client, share.name)

        await self._call(erase)
        await self._shares.forget_share(share.id)
        self._checked.pop(share.id, None)
        self._progress.pop(share.id, None)
        self._resting.pop(share.name, None)

    async def _call(self, work: Callable[["WeaviateAsyncClient"], Awaitable[T]]) -> T:
        return await self._cluster.call(work, limit=CALL_SECONDS)
