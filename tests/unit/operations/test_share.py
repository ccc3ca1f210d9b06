"""Folders shared through a cluster: found by others, read, kept equal to SQLite, and erased."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.errors import DocumentNotFound, InvalidArgument, ShareFailed
from allma_server.operations import BY_NAME, Call
from allma_server.storage.cluster.connection import Cluster
from allma_server.storage.cluster.objects import collection
from allma_server.storage.shared import chunks, search
from allma_server.storage.shared.chunks import collection_name
from allma_server.types import LOCAL, RIGHTS, Principal, SharedFolder
from tests.cluster import KEY, RunningCluster, run_cluster

pytestmark = pytest.mark.cluster

EMBEDDER = "hashing/words-256"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    with run_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


Opens = Callable[..., contextlib.AbstractAsyncContextManager[Engine]]


@pytest.fixture
def opens(cluster: RunningCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opens:
    """Return what opens an engine, by its name; each has data of its own."""
    monkeypatch.setenv("ALLMA_VECTOR_STORE_API_KEY", KEY)
    monkeypatch.setattr(search, "KNOWN_SECONDS", 0.0)

    def opened(name: str, url: str | None = None, embedder: str = EMBEDDER) -> Any:
        return open_engine(
            Config(
                data_dir=tmp_path / f"data of {name}",
                embedder=embedder,
                chat_provider="scripted",
                vector_store="exact",
                shared_url=url or cluster.url,
            )
        )

    return opened


async def run(
    engine: Engine, operation: str, principal: Principal = LOCAL, /, **arguments: Any
) -> Any:
    return await BY_NAME[operation](Call(engine, principal), arguments)


def folder(tmp_path: Path, name: str, **files: str) -> str:
    made = tmp_path / name
    made.mkdir(exist_ok=True)
    for stem, text in files.items():
        (made / f"{stem}.md").write_text(text)
    return str(made)


async def indexed(engine: Engine, path: str) -> None:
    await run(engine, "ingest", paths=[path])


async def found(engine: Engine, query: str, principal: Principal = LOCAL, **more: Any) -> list[str]:
    result = await run(engine, "search", principal, query=query, **more)
    return [f"{each.path}:{each.start_line}" for each in result.passages]


async def share_of(engine: Engine, name: str) -> SharedFolder | None:
    listed = await run(engine, "shares")
    return next((each for each in listed.shares if each.name == name), None)


HARBOUR = "# Harbour\n\nThe lighthouse keeper is called Edda Holm.\n"
KITCHEN = "# Kitchen\n\nThe soup of the day is made of leeks and potatoes.\n"
MOUNTAIN = "# Mountain\n\nThe hut below the summit has twelve beds.\n"


async def test_what_others_share_is_found_read_and_gone_again(opens: Opens, tmp_path: Path) -> None:
    async with opens("ann") as ann, opens("bob") as bob, opens("cid") as cid:
        harbour = folder(tmp_path, "harbour", keeper=HARBOUR)
        await indexed(ann, harbour)
        await indexed(bob, folder(tmp_path, "kitchen", soup=KITCHEN))
        await indexed(cid, folder(tmp_path, "mountain", hut=MOUNTAIN))
        done = await run(ann, "share", path=harbour, name="harbour-1")
        assert "is shared as harbour-1: 1 documents, 1 chunks are published" in done.message
        await run(bob, "share", path=str(tmp_path / "kitchen"))

        keeper, soup = "shared: harbour-1/keeper.md:1", "shared: kitchen/soup.md:1"
        hut = f"{tmp_path}/mountain/hut.md:1"
        assert (await found(cid, "lighthouse keeper"))[0] == keeper
        assert (await found(cid, "soup of leeks"))[0] == soup
        assert (await found(cid, "beds in the hut"))[0] == hut
        assert sorted(await found(cid, "lighthouse")) == [hut, keeper, soup], "one ranking"
        assert sorted(await found(ann, "lighthouse")) == [f"{harbour}/keeper.md:1", soup]
        assert await found(cid, "lighthouse", workspace="shared:kitchen") == [soup]
        assert await found(cid, "lighthouse", workspace=str(tmp_path / "mountain")) == [hut]
        assert await found(cid, "lighthouse", path="*.txt") == []
        assert await found(cid, "lighthouse", path="keep*.md") == [keeper]

        excerpt = await run(cid, "read", source="shared: harbour-1/keeper.md:3")
        assert excerpt.text == "The lighthouse keeper is called Edda Holm."
        assert (excerpt.path, excerpt.source) == ("shared: harbour-1/keeper.md", "shared")

        done = await run(ann, "unshare", path=harbour)
        assert done.message == "harbour-1 is no longer shared. The cluster has erased it."
        await run(bob, "unshare", path=str(tmp_path / "kitchen"))
        assert keeper not in await found(cid, "lighthouse keeper")
        with pytest.raises(DocumentNotFound):
            await run(cid, "read", source="shared: harbour-1/keeper.md")
        assert f"{harbour}/keeper.md:1" in await found(ann, "lighthouse keeper")


async def test_changes_are_published_and_forgotten_files_are_erased(
    opens: Opens, tmp_path: Path
) -> None:
    async with opens("ann") as ann, opens("cid") as cid:
        notes = folder(tmp_path, "notes", first=HARBOUR, second=KITCHEN)
        await indexed(ann, notes)
        await run(ann, "share", path=notes)
        folder(tmp_path, "notes", first=HARBOUR.replace("Edda Holm", "Jon Berg"))
        await run(ann, "sync")
        assert await ann.sharing.publisher.wait("notes", 30)
        excerpt = await run(cid, "read", source="shared: notes/first.md")
        assert "Jon Berg" in excerpt.text and "Edda Holm" not in excerpt.text

        report = await run(ann, "forget", path=f"{notes}/first.md")
        assert "The cluster has erased it, too" in report.notice
        with pytest.raises(DocumentNotFound):
            await run(cid, "read", source="shared: notes/first.md")
        report = await run(ann, "forget", path=notes)
        assert "The cluster has erased it, too" in report.notice
        assert await share_of(ann, "notes") is None and await share_of(cid, "notes") is None


async def test_secrets_are_masked_whatever_the_settings(
    opens: Opens, cluster: RunningCluster, tmp_path: Path
) -> None:
    secret = "glpat-Zk7Qm2Vx9Lp4Rt6Wn8Yd"
    plain = Config(
        data_dir=tmp_path / "data",
        embedder=EMBEDDER,
        vector_store="exact",
        shared_url=cluster.url,
        mask_secrets=False,
    )
    async with opens("cid") as cid, open_engine(plain) as ann:
        login = folder(tmp_path, "login", token=f"# Login\n\nThe token is {secret} for all.\n")
        await indexed(ann, login)
        await run(ann, "share", path=login)
        excerpt = await run(cid, "read", source="shared: login/token.md")
        assert "The token is" in excerpt.text and secret not in excerpt.text
        await run(ann, "unshare", path=login)


async def test_tokens_name_the_shared_folders_that_a_user_sees(
    opens: Opens, tmp_path: Path
) -> None:
    async with opens("ann") as ann, opens("cid") as cid:
        for name, text in (("red", HARBOUR), ("blue", KITCHEN)):
            await indexed(ann, folder(tmp_path, name, page=text))
            await run(ann, "share", path=str(tmp_path / name))
        hill = folder(tmp_path, "hill", hut=MOUNTAIN)
        await indexed(cid, hill)
        await run(cid, "tokens.add", name="eve", workspaces=["shared:red"])
        [token] = (await run(cid, "tokens.list")).tokens
        eve = Principal("eve", RIGHTS["read"], "eve", tuple(token.workspaces))
        assert await found(cid, "soup", eve) == ["shared: red/page.md:1"]
        assert [each.name for each in (await run(cid, "shares", eve)).shares] == ["red"]
        with pytest.raises(DocumentNotFound):
            await run(cid, "read", eve, source="shared: blue/page.md")
        local = Principal("dan", RIGHTS["read"], "dan", (hill,))
        assert await found(cid, "lighthouse", local) == [f"{hill}/hut.md:1"]
        for name in ("red", "blue"):
            await run(ann, "unshare", path=str(tmp_path / name))


async def test_another_embedder_is_searched_by_words_and_says_so(
    opens: Opens, tmp_path: Path
) -> None:
    async with opens("ann") as ann, opens("cid", embedder="local/all-MiniLM-L6-v2-int7") as cid:
        quay = folder(tmp_path, "quay", keeper=HARBOUR)
        await indexed(ann, quay)
        await indexed(cid, folder(tmp_path, "hill", hut=MOUNTAIN))
        await run(ann, "share", path=quay)
        result = await run(cid, "search", query="lighthouse")
        assert "Keyword search only in quay: they have vectors of another" in result.notice
        assert result.passages[0].path == "shared: quay/keeper.md"
        assert not await found(cid, "zeppelin", workspace="shared:quay"), "nothing by meaning"
        share = await share_of(cid, "quay")
        assert share is not None and share.words_only
        await run(ann, "unshare", path=quay)


async def test_a_name_belongs_to_the_engine_that_took_it(opens: Opens, tmp_path: Path) -> None:
    async with opens("ann") as ann, opens("bob") as bob:
        mine, other = folder(tmp_path, "mine", a=HARBOUR), folder(tmp_path, "other", a=KITCHEN)
        await indexed(ann, mine)
        await indexed(bob, other)
        await run(ann, "share", path=mine, name="docs")
        with pytest.raises(ShareFailed, match="'docs' is taken"):
            await run(bob, "share", path=other, name="docs")
        with pytest.raises(InvalidArgument, match="is shared as docs already"):
            await run(ann, "share", path=mine, name="papers")
        for wrong in ("a b", "", "../x", "x" * 65):
            with pytest.raises((InvalidArgument, DocumentNotFound)):
                await run(bob, "share", path=other, name=wrong or "-")
        with pytest.raises(DocumentNotFound):
            await run(bob, "unshare", path="/docs")
        await run(ann, "unshare", path=mine)


async def test_local_search_goes_on_while_the_cluster_is_away_and_pending_is_published_later(
    opens: Opens, unused_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = folder(tmp_path, "port", keeper=HARBOUR)
    async with opens("ann") as ann:
        await indexed(ann, port)
        await run(ann, "share", path=port)
    async with opens("ann", unused_url) as ann:
        with pytest.raises(ShareFailed, match="Nothing was shared. The cluster at"):
            await indexed(ann, folder(tmp_path, "more", soup=KITCHEN))
            await run(ann, "share", path=str(tmp_path / "more"))
        folder(tmp_path, "port", keeper=HARBOUR.replace("Edda Holm", "Jon Berg"))
        await run(ann, "sync")
        result = await run(ann, "search", query="lighthouse keeper")
        assert "Jon Berg" in result.passages[0].text
        assert "Shared folders are not searched: The cluster at" in result.notice
        share = await share_of(ann, "port")
        assert share is not None and share.pending == 1 and "does not answer" in str(share.reason)
        done = await run(ann, "unshare", path=str(tmp_path / "port"))
        assert "The cluster has not erased it yet: The cluster at" in done.message
    async with opens("ann") as ann, opens("cid") as cid:
        assert await ann.sharing.publisher.wait("port", 30)
        assert await share_of(cid, "port") is None
        await run(ann, "share", path=port)
        assert "Jon Berg" in (await run(cid, "read", source="shared: port/keeper.md")).text
        await run(ann, "unshare", path=port)


async def test_a_wrong_key_stops_nothing_here(
    opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opens("ann") as ann:
        monkeypatch.setenv("ALLMA_VECTOR_STORE_API_KEY", "wrong")
        bay = folder(tmp_path, "bay", keeper=HARBOUR)
        await indexed(ann, bay)
        with pytest.raises(ShareFailed, match="refuses the API key") as failed:
            await run(ann, "share", path=bay)
        assert "config set-key vector_store" in (failed.value.hint or "")
        result = await run(ann, "search", query="lighthouse")
        assert result.passages and "refuses the API key" in result.notice


async def test_what_the_cluster_lost_is_published_again(
    opens: Opens, cluster: RunningCluster, tmp_path: Path
) -> None:
    files = {f"page{n}": f"# Page {n}\n\nNumber {n} of the pages.\n" for n in range(20)}
    book = folder(tmp_path, "book", **files)
    async with opens("ann") as ann:
        await indexed(ann, book)
        await run(ann, "share", path=book)
        identity = await ann.sharing.embedder()

    async def key() -> str:
        return KEY

    admin = Cluster(cluster.url, key)
    name = collection_name(identity)

    async def spoil(client: Any) -> None:
        found = await collection(client, name, "book").query.fetch_objects(limit=3)
        first, second, _ = found.objects
        target = collection(client, name, "book")
        await target.data.delete_by_id(first.uuid)
        await target.data.update(second.uuid, properties={"version": "of another time"})

    await admin.call(spoil, limit=30)
    async with opens("ann") as ann, opens("cid") as cid:
        assert await ann.sharing.publisher.wait("book", 30)
        for n in (0, 7, 19):
            assert (
                f"Number {n} " in (await run(cid, "read", source=f"shared: book/page{n}.md")).text
            )

        async def drop(client: Any) -> None:
            await client.collections.use(name).tenants.remove("book")

        await admin.call(drop, limit=30)
        result = await run(cid, "search", query="Number 7 of the pages")
        assert "The cluster has lost book" in result.notice
        repaired = await run(ann, "repair")
        [check] = [each for each in repaired.checks if each.name == "Shared folders"]
        assert check.detail == "1 compared with the cluster"
        assert "Number 7 " in (await run(cid, "read", source="shared: book/page7.md")).text
        await run(ann, "unshare", path=book)
    await admin.close()


async def test_a_folder_of_another_version_is_named(
    opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opens("ann") as ann, opens("bob") as bob:
        harbour = folder(tmp_path, "harbour", keeper=HARBOUR)
        await indexed(ann, harbour)
        await indexed(bob, folder(tmp_path, "kitchen", soup=KITCHEN))
        await run(ann, "share", path=harbour, name="older")
        with monkeypatch.context() as newer:
            newer.setattr(chunks, "SCHEMA", chunks.SCHEMA + 1)
            result = await run(bob, "search", query="lighthouse soup")
        assert [each.path for each in result.passages] == [f"{tmp_path}/kitchen/soup.md"]
        assert "Not searched: older, published by another version of Allma." in result.notice
        await run(ann, "unshare", path=harbour)
