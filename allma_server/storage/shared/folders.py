"""Sharing as the engine offers it: share a folder, end that, list, and search those of others."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass, replace

from allma_server._internal.tasks import background_tasks
from allma_server.errors import DocumentNotFound, InvalidArgument, ShareFailed, VectorStoreDown
from allma_server.storage.cluster.connection import Cluster
from allma_server.storage.cluster.failures import KEY_HINT
from allma_server.storage.shared.chunks import collection_name
from allma_server.storage.shared.publisher import CALL_SECONDS, Identity, Publisher
from allma_server.storage.shared.registry import create_registry, entry_of
from allma_server.storage.shared.search import SharedSearch
from allma_server.storage.sqlite.database import Database
from allma_server.storage.sqlite.shares import Share, Shares
from allma_server.storage.vectors.config import ReadKey
from allma_server.types import SHARED, SharedFolder, SharedFolders

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def no_cluster() -> InvalidArgument:
    """Return the error of sharing without a cluster."""
    return InvalidArgument(
        "There is no cluster to share in.",
        "`allma config set shared_url http://host:8080` sets one for the next start of Allma.",
    )


@contextlib.asynccontextmanager
async def open_sharing(
    database: Database, url: str | None, api_key: ReadKey | None, embedder: Identity
) -> AsyncGenerator["Sharing"]:
    """Publish the shares of this engine until the block ends; without a `url` nothing is.

    Args:
        database: the catalogue.
        url: the addresses of the cluster.
        api_key: returns its key, if it has one.
        embedder: returns the identity of the current embedder.
    """
    shares = Shares(database)
    cluster = Cluster(url, api_key)
    publisher = Publisher(shares, cluster, embedder, database.shares_changed)
    search = SharedSearch(cluster, shares.owner) if url else None
    async with background_tasks() as tasks:
        running = tasks.create_task(publisher.run()) if url else None
        try:
            yield Sharing(shares, cluster, publisher, embedder, search)
        finally:
            publisher.stop()
            if running is not None:
                await asyncio.wait([running])
            await cluster.close()


@dataclass(frozen=True, slots=True)
class Sharing:
    """Folders shared by this engine, and `search` in those of others; None without a cluster."""

    shares: Shares
    cluster: Cluster
    publisher: Publisher
    embedder: Identity
    search: SharedSearch | None

    async def share(self, folder: str, name: str) -> None:
        """Share an indexed folder under a name; it is published in the background.

        Raises:
            InvalidArgument: there is no cluster, or the name or folder is shared already.
            ShareFailed: the cluster does not answer, or another engine has the name.
        """
        if self.search is None:
            raise no_cluster()
        if not _NAME.fullmatch(name):
            raise InvalidArgument(
                f"{name!r} cannot be the name of a shared folder.",
                "Use up to 64 letters, digits, _ and - in `--as NAME`.",
            )
        known = await self.shares.shares()
        if found := next((each for each in known if folder == each.path), None):
            if found.removed or found.name != name:
                raise InvalidArgument(
                    f"{folder} is shared as {found.name} already.",
                    f"`allma unshare {folder}` ends that first.",
                )
            self.publisher.hurry(name)
            return
        if any(each.name == name for each in known):
            raise InvalidArgument(
                f"Another folder is shared as {name} already.", "Use `--as` another name."
            )
        await self._check_name(name)
        await self.shares.add_share(folder, name)
        self.publisher.hurry(name)

    async def unshare(self, named: str) -> Share:
        """Begin to erase a share, given by its folder or name, in the cluster.

        Raises:
            DocumentNotFound: no such folder is shared.
        """
        for share in await self.shares.shares():
            if named in (share.path, share.name, f"{SHARED}{share.name}"):
                await self.shares.end_share(share.id)
                self.publisher.hurry(share.name)
                return share
        raise DocumentNotFound(f"{named} is not shared.", "`allma shares` lists what is.")

    async def list(self) -> SharedFolders:
        """Return the folders that this engine and others share."""
        own = [await self._own(share) for share in await self.shares.shares()]
        if self.search is None:
            notice = "There is no cluster: the setting shared_url is empty." if own else None
            return SharedFolders(own, notice)
        try:
            others = await self.search.folders()
        except VectorStoreDown as exc:
            return SharedFolders(own, f"What others share is not known now: {exc.message}")
        wanted = collection_name(await self.embedder())
        return SharedFolders(
            [
                *own,
                *(
                    SharedFolder(
                        each.name,
                        None,
                        each.documents,
                        each.chunks,
                        words_only=each.collection != wanted,
                    )
                    for each in others
                ),
            ]
        )

    def seen_by(self, workspaces: Collection[str] | None) -> "Sharing":
        """Return the same as it exists for who may use these workspaces only; None: all."""
        if self.search is None or workspaces is None:
            return self
        names = [w.removeprefix(SHARED) for w in workspaces if w.startswith(SHARED)]
        return replace(self, search=self.search.seen_by(names))

    async def _own(self, share: Share) -> SharedFolder:
        documents, chunks = await self.shares.share_size(share)
        pending = (await self.shares.pending_shares()).get(share.id, 0)
        failure = self.publisher.failures.get(share.name)
        settled = await self.publisher.is_settled(share.name)
        state = "removing" if share.removed else "published" if settled else "publishing"
        return SharedFolder(share.name, share.path, documents, chunks, state, pending, failure)

    async def _check_name(self, name: str) -> None:
        try:
            await self.cluster.call(create_registry, limit=CALL_SECONDS)
            entry = await self.cluster.call(
                lambda client: entry_of(client, name), limit=CALL_SECONDS
            )
        except VectorStoreDown as exc:
            hint = KEY_HINT if exc.hint == KEY_HINT else "Try again when it answers."
            raise ShareFailed(f"Nothing was shared. {exc.message}", hint) from exc
        if entry is not None and entry.owner != await self.shares.owner():
            raise ShareFailed(
                f"The name {name!r} is taken: another engine shares a folder under it.",
                "Use `--as` another name.",
            )
