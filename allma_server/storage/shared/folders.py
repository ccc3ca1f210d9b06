"""Sharing as the engine offers it: share a folder, end that, list, and search those of others."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass, replace

from allma_server._internal.paths import is_inside
from allma_server._internal.tasks import background_tasks
from allma_server.errors import (
    DocumentNotFound,
    InvalidArgument,
    ProviderError,
    ShareFailed,
    VectorStoreDown,
)
from allma_server.secrets import masked
from allma_server.storage.cluster.connection import Cluster
from allma_server.storage.cluster.failures import KEY_HINT
from allma_server.storage.shared.chunks import collection_name, is_current
from allma_server.storage.shared.publisher import Publisher
from allma_server.storage.shared.registry import Entry, create_registry, entry_of
from allma_server.storage.shared.search import SharedSearch
from allma_server.storage.shared.share_writer import CALL_SECONDS
from allma_server.storage.shared.vectors import ShareEmbedders, ShareVectors
from allma_server.storage.sqlite.database import Database
from allma_server.storage.sqlite.embeddings import Embeddings
from allma_server.storage.sqlite.shares import Share, Shares
from allma_server.storage.vectors.config import ReadKey
from allma_server.types import SHARED, SharedFolder, SharedFolders

STOP_SECONDS = 5.0
"""How long the end of the engine waits for a call of the cluster; what it wrote is written again.
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def no_cluster() -> InvalidArgument:
    """Return the error of sharing without a cluster."""
    return InvalidArgument(
        "There is no cluster to share in.",
        "`allma config set shared_url http://host:8080` sets one for the next start of Allma.",
    )


@contextlib.asynccontextmanager
async def open_sharing(
    database: Database, url: str | None, api_key: ReadKey | None, embedders: ShareEmbedders
) -> AsyncGenerator["Sharing"]:
    """Publish the shares of this engine until the block ends; without a `url` nothing is.

    Args:
        database: the catalogue.
        url: the addresses of the cluster.
        api_key: returns its key, if it has one.
        embedders: this engine's own embedder, and those that shares name.
    """
    shares = Shares(database)
    cluster = Cluster(url, api_key)
    # What leaves this machine is masked, whatever the settings: so is what is embedded for it.
    vectors = ShareVectors(Embeddings(database, shown=masked), embedders)
    publisher = Publisher(shares, cluster, vectors, database.shares_changed)
    search = SharedSearch(cluster, shares.owner) if url else None
    async with background_tasks() as tasks:
        running = tasks.create_task(publisher.run()) if url else None
        try:
            yield Sharing(shares, cluster, publisher, embedders, search)
        finally:
            publisher.stop()
            if running is not None:
                await asyncio.wait([running], timeout=STOP_SECONDS)
                running.cancel()
                await asyncio.wait([running])
            await cluster.close()


@dataclass(frozen=True, slots=True)
class Sharing:
    """Folders shared by this engine, and `search` in those of others; None without a cluster.

    `granted`: folders that the principal may see; None for all.
    """

    shares: Shares
    cluster: Cluster
    publisher: Publisher
    embedders: ShareEmbedders
    search: SharedSearch | None
    granted: Collection[str] | None = None

    async def share(self, folder: str, name: str, embedder: str | None = None) -> None:
        """Share an indexed folder under a name; it is published in the background.

        `embedder`: `provider/model` of its vectors; None: what it was shared with, else the current
        one of this engine, also when that changes.

        Raises:
            InvalidArgument: there is no cluster or no such embedder, or the name or folder is
                shared already.
            ShareFailed: the cluster does not answer, or another engine has the name.
        """
        if self.search is None:
            raise no_cluster()
        if not _NAME.fullmatch(name):
            raise InvalidArgument(
                f"{name!r} cannot be the name of a shared folder.",
                "Use up to 64 letters, digits, _ and - in `--as NAME`.",
            )
        if embedder is not None:
            embedder = await self.embedders.check(embedder)
        known = await self.shares.shares()
        if found := next((each for each in known if folder == each.path), None):
            if found.removed or found.name != name:
                raise InvalidArgument(
                    f"{folder} is shared as {found.name} already.",
                    f"`allma unshare {folder}` ends that first.",
                )
            if embedder not in (None, found.embedder):
                await self.shares.set_share_embedder(found.id, embedder)
            self.publisher.hurry(name)
            return
        if any(each.name == name for each in known):
            raise InvalidArgument(
                f"Another folder is shared as {name} already.", "Use `--as` another name."
            )
        await self._check_name(name)
        await self.shares.add_share(folder, name, embedder)
        self.publisher.hurry(name)

    async def unshare(self, path: str, name: str | None = None) -> Share:
        """Begin to erase a share, given by its folder or else by its name, in the cluster.

        Raises:
            DocumentNotFound: no such folder is shared.
        """
        seen = await self._seen()
        known = [s for s in seen if s.path == path] or [s for s in seen if s.name == name]
        if known:
            await self.shares.end_share(known[0].id)
            ended = known[0]
        else:
            with contextlib.suppress(VectorStoreDown):
                known = [each for each in await self._unknown() if each.name == name]
            if not known or not name:
                raise DocumentNotFound(f"{path} is not shared.", "`allma shares` lists what is.")
            ended = await self.shares.end_unknown(name)
        self.publisher.hurry(ended.name)
        return ended

    async def list(self) -> SharedFolders:
        """Return the folders that this engine and others share."""
        own = [await self._own(share) for share in await self._seen()]
        if self.search is None:
            notice = "There is no cluster: the setting shared_url is empty." if own else None
            return SharedFolders(own, notice)
        try:
            unknown, others = await self._unknown(), await self.search.folders()
        except VectorStoreDown as exc:
            return SharedFolders(own, f"What others share is not known now: {exc.message}")
        wanted = collection_name(await self.embedders.identity(None))
        own += [_own_unknown(each) for each in unknown]
        return SharedFolders([*own, *(_of_another(each, wanted) for each in others)])

    def seen_by(self, workspaces: Collection[str] | None) -> "Sharing":
        """Return the same as it exists for who may use these workspaces only; None: all."""
        if workspaces is None:
            return self
        names = [w.removeprefix(SHARED) for w in workspaces if w.startswith(SHARED)]
        search = self.search.seen_by(names) if self.search is not None else None
        return replace(self, search=search, granted=workspaces)

    async def _seen(self) -> "Sequence[Share]":
        """Return the shares of this engine that the principal may see."""
        known = await self.shares.shares()
        if self.granted is None:
            return known
        return [s for s in known if any(is_inside(s.path, each) for each in self.granted)]

    async def _unknown(self) -> Sequence[Entry]:
        """Return what this engine has in the cluster without knowing it.

        It shared that after the time of its data, which has been restored from a copy.

        Raises:
            VectorStoreDown: the cluster does not answer.
        """
        if self.search is None or self.granted is not None:
            return []
        owner, known = await self.shares.owner(), await self.shares.shares()
        names = {each.name for each in known}
        entries = await self.search.all_folders()
        return [each for each in entries if each.owner == owner and each.name not in names]

    async def _own(self, share: Share) -> SharedFolder:
        documents, chunks = await self.shares.share_size(share)
        pending = (await self.shares.pending_shares()).get(share.id, 0)
        failure = self.publisher.failures.get(share.name)
        settled = await self.publisher.is_settled(share.name)
        state = "removing" if share.removed else "published" if settled else "publishing"
        return SharedFolder(
            share.name,
            share.path,
            documents,
            chunks,
            state,
            pending,
            failure,
            embedder=await self._other_embedder(share),
        )

    async def _other_embedder(self, share: Share) -> str | None:
        """Return the embedder of a share where it is not the current one of this engine."""
        with contextlib.suppress(ProviderError):
            own = await self.embedders.identity(None)
            if own == await self.embedders.identity(share.embedder):
                return None
        return share.embedder

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


def _own_unknown(entry: Entry) -> SharedFolder:
    reason = (
        "The data here has been restored, and does not know it any longer: `allma unshare "
        f"{entry.name}` erases it in the cluster, `allma share DIR --as {entry.name}` takes it up."
    )
    path = f"{SHARED}{entry.name}"
    return SharedFolder(entry.name, path, entry.documents, entry.chunks, reason=reason)


def _of_another(entry: Entry, wanted: str) -> SharedFolder:
    """Return a folder of another engine; `wanted`: the collection of the embedder here."""
    if is_current(entry.collection):
        by_words, reason = entry.collection != wanted, None
    else:
        by_words, reason = False, "Another version of Allma published it: it is not searched here."
    return SharedFolder(
        entry.name,
        None,
        entry.documents,
        entry.chunks,
        reason=reason,
        words_only=by_words,
        embedder=(entry.embedder or None) if by_words else None,
    )
