"""Write one share to the cluster, compare it with what the cluster holds, and erase it there."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from allma_server._internal.tasks import background_tasks
from allma_server.errors import ProviderError, ShareFailed
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
from allma_server.storage.shared.embedder_pauses import EmbedderPauses
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
"""Written chunks after which a cluster is asked to write them to its disk (`write_to_disk`)."""

CALL_SECONDS, COMPARE_SECONDS = 60.0, 1_800.0

T = TypeVar("T")


@dataclass(slots=True)
class _Progress:
    """What is written of a share since it was complete; `last`: the number of the last change."""

    last: int | None = None
    chunks: int = 0


class ShareWriter:
    """Writes shares, one at a time, and knows what it has compared and completed of each.

    Work is left unfinished when `interrupted` is set, after the call in progress. `notify` is
    called after each batch. `pauses`: of the embedders that failed.
    """

    def __init__(
        self,
        shares: Shares,
        cluster: Cluster,
        vectors: ShareVectors,
        *,
        interrupted: asyncio.Event,
        notify: Callable[[], Awaitable[None]],
    ) -> None:
        self.pauses = EmbedderPauses()
        self._shares = shares
        self._cluster = cluster
        self._vectors = vectors
        self._interrupted = interrupted
        self._notify = notify
        self._checked: dict[int, str] = {}
        self._progress: dict[int, _Progress] = {}
        self._doubted: set[str] = set()
        self._spoilt: set[str] = set()

    async def is_complete(self, share: Share) -> bool:
        """Return whether all of a share was written, but for what is pending."""
        try:
            name = collection_name(await self._vectors.identity(share))
        except ProviderError:
            return False
        return self._checked.get(share.id) == name and share.id not in self._progress

    def doubt(self, names: Collection[str]) -> None:
        """Compare every chunk of these shares the next time, and make sure of all others."""
        self._doubted.update(names)
        self._checked.clear()

    def note_failure(self, share: Share) -> None:
        """Make sure the next time that the cluster has what was written."""
        self._checked.pop(share.id, None)

    def note_other_vectors(self, share: Share) -> None:
        """Begin anew the next time: the cluster has vectors of another length."""
        self._spoilt.add(share.name)

    # --- publishing -------------------------------------------------------------------------

    async def publish(self, share: Share) -> bool:
        """Write what is pending; return False if this was interrupted.

        Raises:
            AllmaError: the cluster, the database or the embedder of the share failed.
        """
        if not await self._write_deletions(share):
            return False
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
                return False
            self._checked[share.id] = name
        if not await self._write_pending(share, embedder, name):
            return False
        if (progress := self._progress.get(share.id)) is not None:
            await self._complete(share, embedder, name, progress)
            del self._progress[share.id]
        return True

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
            if self._interrupted.is_set():
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
            if self._interrupted.is_set():
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
            self.pauses.end(share.name)
            return True
        is_done = await self._embed(share, embedder, bare[:EMBEDDED])
        if is_done and not self.pauses.is_paused(share.name):
            await self._shares.enqueue_share(share.name, bare)
        return is_done

    async def _embed(self, share: Share, embedder: str | None, chunk_ids: Collection[int]) -> bool:
        """Make the vectors of these chunks, unless their embedder has just failed.

        Returns False if this was interrupted, as by the end of the engine.
        """
        if self.pauses.is_paused(share.name):
            return True
        assert embedder is not None, "the embedder of a share has a name"
        async with background_tasks() as tasks:
            embedding = tasks.create_task(self._vectors.add(share, embedder, chunk_ids))
            interrupted = tasks.create_task(self._interrupted.wait())
            await asyncio.wait([embedding, interrupted], return_when=asyncio.FIRST_COMPLETED)
            if not embedding.done():
                return False
            failure = embedding.result()
        if failure is None:
            self.pauses.end(share.name)
        elif isinstance(failure, ProviderError):
            log.warning("embedding %s with %s failed: %s", share.name, share.embedder, failure)
            self.pauses.begin(share, failure)
        else:
            raise failure
        return True

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
        await self._notify()

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

    async def erase(self, share: Share) -> None:
        """Erase a share in the cluster, and then here: its absence confirms it.

        Raises:
            AllmaError: the cluster or the database failed.
        """
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
        self.pauses.end(share.name)

    async def _call(self, work: Callable[["WeaviateAsyncClient"], Awaitable[T]]) -> T:
        return await self._cluster.call(work, limit=CALL_SECONDS)
