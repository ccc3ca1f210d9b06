"""The one task that writes this engine's shares to the cluster, and erases them there.

A change is written first and removed from the outbox after that: an engine that ends in between
writes it once more. What a cluster lost (a backup that was restored, a tenant that was deleted) is
found by the number of the last change, by counts, and then chunk by chunk by their hashes.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection

from allma_server.errors import AllmaError, OtherVectors, ProviderError
from allma_server.storage.cluster.connection import Cluster
from allma_server.storage.shared import embedder_pauses
from allma_server.storage.shared.share_writer import ShareWriter
from allma_server.storage.shared.vectors import ShareVectors
from allma_server.storage.sqlite.shares import Share, Shares

log = logging.getLogger(__name__)


class Publisher:
    """Keeps the cluster equal to SQLite for the shares of this engine.

    `failures`: why a share is not published or erased, by its name.
    """

    def __init__(
        self, shares: Shares, cluster: Cluster, vectors: ShareVectors, changed: asyncio.Event
    ) -> None:
        self.failures: dict[str, str] = {}
        self._shares = shares
        self._changed = changed
        self._hurried = asyncio.Event()
        self._settled = asyncio.Condition()
        self._stopping = False
        self._writer = ShareWriter(
            shares, cluster, vectors, interrupted=self._hurried, notify=self._notify
        )
        self._pauses = self._writer.pauses

    def hurry(self, name: str) -> None:
        """Publish now, also while a failure of this share would be waited out."""
        self.failures.pop(name, None)
        self._pauses.end(name)
        self._wake()

    def compare(self, names: Collection[str]) -> None:
        """Compare every chunk of these shares with what the cluster holds, and publish the rest."""
        self._writer.doubt(names)
        self.failures.clear()
        self._pauses.end_all()
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
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._pauses.first_end):
                    await self._changed.wait()
            self._changed.clear()
            self._hurried.clear()
            failed = 0 if await self._attempt() else failed + 1
            if failed and not self._stopping:
                pause = embedder_pauses.pause_after(failed)
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
        return not share.removed and not pending and await self._writer.is_complete(share)

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
            await self._notify()
        return done

    async def _without_failure(self, share: Share) -> bool:
        """Publish or erase a share; return whether this did not fail.

        A failure of its embedder is waited out for this share alone.
        """
        try:
            if share.removed:
                await self._writer.erase(share)
            elif not await self._writer.publish(share):
                self._changed.set()
        except ProviderError as exc:
            self._pauses.begin(share, exc)
        except AllmaError as exc:
            log.warning("sharing %s failed: %s", share.name, exc.message)
            self.failures[share.name] = exc.message
            self._writer.note_failure(share)
            if isinstance(exc, OtherVectors):
                self._writer.note_other_vectors(share)
            return False
        except Exception:
            log.exception("sharing %s failed because of a bug", share.name)
            self.failures[share.name] = "Unexpected error; the log has the details."
            return False
        if (reason := self._pauses.reason(share.name)) is None:
            self.failures.pop(share.name, None)
        else:
            self.failures[share.name] = reason
            self._writer.note_failure(share)
        return True

    async def _notify(self) -> None:
        async with self._settled:
            self._settled.notify_all()
