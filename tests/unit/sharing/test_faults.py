"""A cluster that fails, forgets or refuses: a sentence says so, and nothing stops here."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allma_server.errors import ShareFailed
from allma_server.storage.cluster.objects import collection, object_id
from allma_server.storage.shared import chunks
from allma_server.storage.shared.chunks import collection_name
from allma_server.storage.shared.registry import entry_of, write_entry
from tests.cluster import RunningCluster
from tests.unit.sharing.engines import (
    EMBEDDER,
    HARBOUR,
    KITCHEN,
    Opens,
    administrator,
    folder,
    found,
    indexed,
    run,
    share_of,
)

pytestmark = pytest.mark.cluster

COLLECTION = collection_name(EMBEDDER)
PAGES = {f"page{n}": f"# Page {n}\n\nNumber {n} of the pages.\n" for n in range(20)}


async def test_local_search_goes_on_while_the_cluster_is_away_and_pending_is_published_later(
    opens: Opens, unused_url: str, tmp_path: Path
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
        assert result.notice.count("Shared folders are not searched: The cluster at") == 1
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
    book = folder(tmp_path, "book", **PAGES)
    async with opens("ann") as ann:
        await indexed(ann, book)
        await run(ann, "share", path=book)

    async def spoil(client: Any) -> None:
        target = collection(client, COLLECTION, "book")
        first, second, _ = (await target.query.fetch_objects(limit=3)).objects
        await target.data.delete_by_id(first.uuid)
        await target.data.update(second.uuid, properties={"version": "of another time"})

    async def drop(client: Any) -> None:
        await client.collections.use(COLLECTION).tenants.remove("book")

    async with administrator(cluster.url) as admin:
        await admin.call(spoil, limit=30)
        async with opens("ann") as ann, opens("cid") as cid:
            assert await ann.sharing.publisher.wait("book", 30)
            for n in (0, 7, 19):
                text = (await run(cid, "read", source=f"shared: book/page{n}.md")).text
                assert f"Number {n} " in text

            await admin.call(drop, limit=30)
            result = await run(cid, "search", query="Number 7 of the pages")
            assert "The cluster has lost book" in result.notice
            repaired = await run(ann, "repair")
            [check] = [each for each in repaired.checks if each.name == "Shared folders"]
            assert check.detail == "1 compared with the cluster"
            assert "Number 7 " in (await run(cid, "read", source="shared: book/page7.md")).text

            await admin.call(drop, limit=30)
            folder(tmp_path, "book", page7="# Page 7\n\nNumber seven, changed.\n")
            await run(ann, "sync")
            while not await ann.sharing.publisher.wait("book", 30):
                assert "has lost what was published" in ann.sharing.publisher.failures["book"]
                ann.sharing.publisher.hurry("book")
            assert "Number 8 " in (await run(cid, "read", source="shared: book/page8.md")).text
            await run(ann, "unshare", path=book)


async def test_an_engine_that_was_restored_from_an_old_copy_publishes_what_it_has(
    opens: Opens, tmp_path: Path
) -> None:
    book, later = folder(tmp_path, "book", **PAGES), folder(tmp_path, "later", keeper=HARBOUR)
    async with opens("ann") as ann:
        await indexed(ann, book)
        await run(ann, "share", path=book)
    data = tmp_path / "data of ann"
    shutil.copytree(data, tmp_path / "copy")
    async with opens("ann") as ann:
        await run(ann, "forget", path=f"{book}/page3.md")
        folder(tmp_path, "book", page4="# Page 4\n\nThe fourth page is new.\n", page99=KITCHEN)
        await run(ann, "sync")
        await indexed(ann, later)
        await run(ann, "share", path=later)
        assert await ann.sharing.publisher.wait("book", 30)
    shutil.rmtree(data)
    shutil.move(tmp_path / "copy", data)
    for name in ("page4", "page99"):
        (tmp_path / "book" / f"{name}.md").unlink()
    folder(tmp_path, "book", page4=PAGES["page4"])
    async with opens("ann") as ann, opens("cid") as cid:
        await run(ann, "sync")
        ann.sharing.publisher.hurry("book")
        assert await ann.sharing.publisher.wait("book", 30)
        share = await share_of(cid, "book")
        assert share is not None and (share.documents, share.chunks) == (20, 20)
        for n in (3, 4):
            text = (await run(cid, "read", source=f"shared: book/page{n}.md")).text
            assert f"Number {n} " in text
        assert "shared: book/page99.md:1" not in await found(cid, "soup of leeks and potatoes")

        unknown = await share_of(ann, "later")
        assert unknown is not None and "`allma unshare later` erases it" in str(unknown.reason)
        done = await run(ann, "unshare", path=str(tmp_path / "elsewhere" / "later"))
        assert done.message == "later is no longer shared. The cluster has erased it."
        assert await share_of(cid, "later") is None and await share_of(ann, "later") is None
        await run(ann, "unshare", path=book)


async def test_a_name_that_another_engine_has_taken_meanwhile_is_told(
    opens: Opens, cluster: RunningCluster, tmp_path: Path
) -> None:
    dock = folder(tmp_path, "dock", keeper=HARBOUR)
    async with opens("ann") as ann:
        await indexed(ann, dock)
        await run(ann, "share", path=dock)
        owner = await ann.sharing.shares.owner()

    async def give(client: Any, to: str) -> None:
        entry = await entry_of(client, "dock")
        assert entry is not None
        await write_entry(client, replace(entry, owner=to))

    async with administrator(cluster.url) as admin:
        await admin.call(lambda client: give(client, "another"), limit=30)
        async with opens("ann") as ann:
            assert not await ann.sharing.publisher.wait("dock", 30)
            share = await share_of(ann, "dock")
            assert share is not None and "The name 'dock' is taken" in str(share.reason)
            assert f"{dock}/keeper.md:1" in await found(ann, "lighthouse")
            await run(ann, "unshare", path=dock)
            share = await share_of(ann, "dock")
            assert share is not None and share.path is None, "it is the other engine's now"
        await admin.call(lambda client: give(client, owner), limit=30)
    async with opens("ann") as ann:
        share = await share_of(ann, "dock")
        assert share is not None and share.chunks == 1, "what was another's was not erased"
        await run(ann, "unshare", path="/any/dock")


async def test_vectors_of_another_length_are_replaced(
    opens: Opens, cluster: RunningCluster, tmp_path: Path
) -> None:
    cove = folder(tmp_path, "cove", keeper=HARBOUR)
    async with opens("ann") as ann:
        await indexed(ann, cove)
        await run(ann, "share", path=cove)

        async def write(client: Any) -> None:
            tenants = client.collections.use(COLLECTION).tenants
            await tenants.remove("cove")
            await tenants.create("cove")
            await collection(client, COLLECTION, "cove").data.insert(
                {}, uuid=object_id(1), vector=[0.1, 0.2, 0.3]
            )

        async with administrator(cluster.url) as admin:
            await admin.call(write, limit=30)
        folder(tmp_path, "cove", keeper=HARBOUR.replace("Edda Holm", "Jon Berg"))
        await run(ann, "sync")
        while not await ann.sharing.publisher.wait("cove", 30):
            assert "of another length" in ann.sharing.publisher.failures["cove"]
            ann.sharing.publisher.hurry("cove")
        async with opens("cid") as cid:
            assert "Jon Berg" in (await run(cid, "read", source="shared: cove/keeper.md")).text
        await run(ann, "unshare", path=cove)


async def test_a_full_disk_of_the_cluster_stops_nothing_here(
    opens: Opens, cluster: RunningCluster, tmp_path: Path
) -> None:
    pier = folder(tmp_path, "pier", keeper=HARBOUR)

    async def set_status(client: Any, status: Any) -> None:
        # As the server does to its shards when the disk is nearly full.
        shards = client.collections.use(COLLECTION).config
        await shards.update_shards(status=status, shard_names="pier")

    async with (
        opens("ann") as ann,
        opens("cid") as cid,
        administrator(cluster.url) as admin,
    ):
        await indexed(ann, pier)
        await indexed(cid, folder(tmp_path, "kitchen", soup=KITCHEN))
        await run(ann, "share", path=pier)
        await admin.call(lambda client: set_status(client, "READONLY"), limit=30)

        folder(tmp_path, "pier", keeper=HARBOUR.replace("Edda Holm", "Jon Berg"))
        await run(ann, "sync")
        ann.sharing.publisher.hurry("pier")
        assert not await ann.sharing.publisher.wait("pier", 30)
        share = await share_of(ann, "pier")
        assert share is not None and "only reads, because its disk" in str(share.reason)
        result = await run(ann, "search", query="lighthouse keeper")
        assert "Jon Berg" in result.passages[0].text
        assert "shared: pier/keeper.md:1" in await found(cid, "lighthouse")

        await admin.call(lambda client: set_status(client, "READY"), limit=30)
        ann.sharing.publisher.hurry("pier")
        assert await ann.sharing.publisher.wait("pier", 30)
        assert "Jon Berg" in (await run(cid, "read", source="shared: pier/keeper.md")).text
        await run(ann, "unshare", path=pier)


async def test_texts_at_their_limits_are_published_whole(opens: Opens, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    deep = odd.joinpath(*["n" * 200] * 4)
    deep.mkdir(parents=True)
    (deep / ("\N{SNOWMAN}" * 80 + ".md")).write_text(HARBOUR)
    texts = {
        "one word": "x" * 70_000,
        "letters": "\u6f22\u5b57" * 20_000,
        "control": "a\x01b\x0bc \ufffe \U0010ffff lighthouse",
        "many words": " ".join(f"word{n}" for n in range(20_000)),
    }
    for name, text in texts.items():
        (odd / f"{name}.md").write_text(text)
    async with opens("ann") as ann, opens("cid") as cid:
        await indexed(ann, str(odd))
        await run(ann, "share", path=str(odd))
        assert await ann.sharing.publisher.wait("odd", 60)
        own, share = await share_of(ann, "odd"), await share_of(cid, "odd")
        assert own is not None and share is not None
        assert (own.state, share.chunks, share.documents) == ("published", own.chunks, 5)
        for query in ("word19999", "\u6f22\u5b57", "lighthouse keeper"):
            assert await found(cid, query, workspace="shared:odd"), query
        await run(ann, "unshare", path=str(odd))


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
            share = await share_of(bob, "older")
            with pytest.raises(ShareFailed, match="older was published by another version"):
                await run(bob, "read", source="shared: older/keeper.md")
        assert [each.path for each in result.passages] == [f"{tmp_path}/kitchen/soup.md"]
        assert result.notice.startswith(
            "Not searched: older, published by another version of Allma"
        )
        assert share is not None and "Another version of Allma" in str(share.reason)
        await run(ann, "unshare", path=harbour)
