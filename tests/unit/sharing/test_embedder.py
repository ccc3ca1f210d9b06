"""A share with the vectors of an embedder that is not the engine's own."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from allma_server.engine import Engine
from allma_server.errors import InvalidArgument, ProviderUnreachable
from allma_server.ports import Vectors
from allma_server.storage.shared.chunks import collection_name
from tests.cluster import RunningCluster
from tests.unit.sharing.engines import (
    EMBEDDER,
    HARBOUR,
    KITCHEN,
    MOUNTAIN,
    Opens,
    administrator,
    folder,
    found,
    indexed,
    run,
    share_of,
)

pytestmark = pytest.mark.cluster

AGREED = "local/all-MiniLM-L6-v2-int7"
SERVED = "ollama/all-minilm"
BEACON = "who looks after the beacon"
"""A question that shares no word with the text that answers it."""


async def embedded_with(engine: Engine, name: str) -> list[str]:
    """Return a list to which the texts are added that an embedder gets from now on."""
    embedder = await engine.embedder.named(name)
    embed, embedded = embedder.embed_documents, list[str]()

    async def noted(texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        embedded.extend(texts)
        return await embed(texts, urgent=urgent)

    embedder.embed_documents = noted  # type: ignore[method-assign]
    return embedded


async def in_collections(cluster: RunningCluster, share: str) -> set[str]:
    """Return the collections that have a tenant of this share."""

    async def look(client: Any) -> set[str]:
        names = await client.collections.list_all(simple=True)
        return {
            name
            for name in names
            if name.startswith("AllmaShared")
            and await client.collections.use(name).tenants.exists(share)
        }

    async with administrator(cluster.url) as admin:
        return await admin.call(look, limit=30)


async def test_a_share_has_the_vectors_of_the_embedder_that_it_names(
    opens: Opens, tmp_path: Path
) -> None:
    port = folder(tmp_path, "port", keeper=HARBOUR, soup=KITCHEN)
    async with opens("ann") as ann, opens("bob", embedder=AGREED) as bob, opens("cid") as cid:
        for engine in (bob, cid):
            await indexed(engine, folder(tmp_path, "hill", hut=MOUNTAIN))
        await indexed(ann, port)
        done = await run(ann, "share", path=port, embedder=AGREED)
        assert "2 documents, 2 chunks are published" in done.message
        own = await share_of(ann, "port")
        assert own is not None and (own.state, own.embedder) == ("published", AGREED)

        result = await run(bob, "search", query=BEACON)
        assert result.passages[0].path == "shared: port/keeper.md" and not result.notice
        share = await share_of(bob, "port")
        assert share is not None and not share.words_only and share.embedder is None

        result = await run(cid, "search", query="lighthouse")
        assert f"Keyword search only in port: they have vectors of another embedder ({AGREED}" in (
            result.notice
        )
        assert result.passages[0].path == "shared: port/keeper.md"
        assert not await found(cid, BEACON, workspace="shared:port"), "nothing by meaning"
        share = await share_of(cid, "port")
        assert share is not None and share.words_only and share.embedder == AGREED


async def test_a_restarted_engine_embeds_only_what_is_new(opens: Opens, tmp_path: Path) -> None:
    port = folder(tmp_path, "port", keeper=HARBOUR, soup=KITCHEN)
    async with opens("ann") as ann:
        await indexed(ann, port)
        await run(ann, "share", path=port, embedder=AGREED)
    folder(tmp_path, "port", hut=MOUNTAIN)
    async with opens("ann") as ann, opens("bob", embedder=AGREED) as bob:
        embedded = await embedded_with(ann, AGREED)
        await indexed(bob, folder(tmp_path, "kitchen", soup=KITCHEN))
        await run(ann, "sync")
        ann.sharing.publisher.compare(["port"])
        assert await ann.sharing.publisher.wait("port", 30)
        assert [text.count("twelve beds") for text in embedded] == [1]
        assert AGREED in await ann.embedder.retained(), "its vectors are not dropped as unused"
        for query, page in ((BEACON, "keeper"), ("a shelter for sleeping climbers", "hut")):
            assert (await found(bob, query))[0] == f"shared: port/{page}.md:1"
        await run(ann, "unshare", path=port)
        assert AGREED not in await ann.embedder.retained()


async def test_sharing_again_with_another_embedder_leaves_nothing_of_the_former(
    opens: Opens, cluster: RunningCluster, tmp_path: Path
) -> None:
    bay = folder(tmp_path, "bay", keeper=HARBOUR)
    agreed, own = collection_name(AGREED), collection_name(EMBEDDER)
    async with opens("ann") as ann:
        await indexed(ann, bay)
        await run(ann, "share", path=bay, name="shore")
        assert await in_collections(cluster, "shore") == {own}
        await run(ann, "share", path=bay, embedder=AGREED)
        assert await ann.sharing.publisher.wait("shore", 30)
        assert await in_collections(cluster, "shore") == {agreed}
        await run(ann, "share", path=bay)
        assert await in_collections(cluster, "shore") == {agreed}, "it stays as it is"
        await run(ann, "share", path=bay, embedder=EMBEDDER)
        assert await ann.sharing.publisher.wait("shore", 30)
        assert await in_collections(cluster, "shore") == {own}
        share = await share_of(ann, "shore")
        assert share is not None and share.embedder is None


async def test_what_names_no_embedder_is_refused(opens: Opens, tmp_path: Path) -> None:
    cove = folder(tmp_path, "cove", keeper=HARBOUR)
    async with opens("ann") as ann:
        await indexed(ann, cove)
        for wrong in ("auto", "nobody/model", "hashing/words-9", "onnx/models", AGREED + "-b"):
            with pytest.raises(InvalidArgument):
                await run(ann, "share", path=cove, embedder=wrong)
        assert await share_of(ann, "cove") is None


async def test_an_unreachable_embedder_is_told_and_stops_nothing_else(
    opens: Opens, unused_url: str, ollama: str, tmp_path: Path
) -> None:
    quay = folder(tmp_path, "quay", keeper=HARBOUR, soup=KITCHEN)
    hill = folder(tmp_path, "hill", hut=MOUNTAIN)
    async with opens("ann", ollama_url=unused_url) as ann, opens("cid") as cid:
        await indexed(ann, quay)
        await indexed(ann, hill)
        done = await run(ann, "share", path=quay, embedder=SERVED)
        why = f"What has no vector of {SERVED} yet is found by words only: Ollama"
        assert f"It is not published completely yet: {why}" in done.message
        share = await share_of(ann, "quay")
        assert share is not None and why in str(share.reason) and share.state == "publishing"
        assert "are published" in (await run(ann, "share", path=hill)).message

        folder(tmp_path, "hill", hut=MOUNTAIN.replace("twelve", "fifteen"))
        await run(ann, "sync")
        assert await ann.sharing.publisher.wait("hill", 30)
        assert "fifteen" in (await run(cid, "read", source="shared: hill/hut.md")).text
        assert "shared: quay/keeper.md:1" in await found(cid, "lighthouse")
        report = await run(ann, "forget", path=f"{quay}/soup.md")
        assert "The cluster has erased it, too" in report.notice
        assert "shared: quay/soup.md:1" not in await found(cid, "soup of leeks")
    async with (
        opens("ann", ollama_url=ollama) as ann,
        opens("bob", embedder=SERVED, ollama_url=ollama) as bob,
    ):
        await indexed(bob, folder(tmp_path, "kitchen", soup=KITCHEN))
        assert await ann.sharing.publisher.wait("quay", 60), ann.sharing.publisher.failures
        result = await run(bob, "search", query=BEACON, workspace="shared:quay")
        assert result.passages[0].path == "shared: quay/keeper.md" and not result.notice
        share = await share_of(ann, "quay")
        assert share is not None and (share.state, share.reason) == ("published", None)


async def test_an_embedder_that_answers_again_is_asked_without_a_restart(
    opens: Opens, tmp_path: Path
) -> None:
    mole = folder(tmp_path, "mole", keeper=HARBOUR)
    async with opens("ann") as ann, opens("bob", embedder=AGREED) as bob:
        await indexed(bob, folder(tmp_path, "kitchen", soup=KITCHEN))
        await indexed(ann, mole)
        embedder = await ann.embedder.named(AGREED)
        embed = embedder.embed_documents

        async def fail(texts: Sequence[str], *, urgent: bool = False) -> Vectors:
            embedder.embed_documents = embed  # type: ignore[method-assign]
            raise ProviderUnreachable("Nobody answers.")

        embedder.embed_documents = fail  # type: ignore[method-assign]
        done = await run(ann, "share", path=mole, embedder=AGREED)
        assert "is found by words only: Nobody answers." in done.message
        async with asyncio.timeout(30):
            while not await ann.sharing.publisher.wait("mole", 30):
                assert "Nobody answers." in ann.sharing.publisher.failures.get("mole", "")
        result = await run(bob, "search", query=BEACON, workspace="shared:mole")
        assert result.passages[0].path == "shared: mole/keeper.md" and not result.notice
