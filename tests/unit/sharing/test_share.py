"""Folders shared through a cluster: found by others, read, kept equal to SQLite, and erased."""

from pathlib import Path

import pytest

from allma_server.config import Config
from allma_server.engine import open_engine
from allma_server.errors import DocumentNotFound, InvalidArgument, ShareFailed
from allma_server.operations import Call
from allma_server.protocols.mcp.results import succeeded
from allma_server.protocols.uris import content
from allma_server.storage.shared import share_writer
from allma_server.types import LOCAL, RIGHTS, Principal
from tests.cluster import RunningCluster
from tests.unit.sharing.engines import (
    EMBEDDER,
    HARBOUR,
    KITCHEN,
    MOUNTAIN,
    Opens,
    folder,
    found,
    indexed,
    run,
    share_of,
)

pytestmark = pytest.mark.cluster


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


async def test_a_user_does_not_see_what_is_shared_outside_the_granted_folders(
    opens: Opens, tmp_path: Path
) -> None:
    async with opens("ann") as ann:
        for name, text in (("open", HARBOUR), ("closed", KITCHEN)):
            await indexed(ann, folder(tmp_path, name, page=text))
            await run(ann, "share", path=str(tmp_path / name))
        eve = Principal("eve", RIGHTS["read"], "eve", (str(tmp_path / "open"),))
        assert [each.name for each in (await run(ann, "shares", eve)).shares] == ["open"]
        for name in ("open", "closed"):
            await run(ann, "unshare", path=str(tmp_path / name))


async def test_the_uri_of_a_shared_passage_leads_to_its_text(opens: Opens, tmp_path: Path) -> None:
    async with opens("ann") as ann, opens("cid") as cid:
        odd = tmp_path / "odd"
        odd.mkdir()
        (odd / "hash # and 100 %.md").write_text(HARBOUR)
        await indexed(ann, str(odd))
        await run(ann, "share", path=str(odd))
        result = await run(cid, "search", query="lighthouse keeper", workspace="shared:odd")
        [passage] = result.passages
        excerpt = await run(cid, "read", source=passage.uri)
        assert (excerpt.path, excerpt.uri) == (passage.path, passage.uri)
        assert "Edda Holm" in excerpt.text
        links = [block for block in succeeded(result, links=True).content if block.type != "text"]
        [uri] = [str(link.uri) for link in links if link.type == "resource_link"]
        assert (await content(Call(cid, LOCAL), uri)).text.rstrip("\n") == HARBOUR.rstrip("\n")
        await run(ann, "unshare", path=str(odd))


async def test_a_long_publishing_does_not_delay_what_is_to_be_erased(
    opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share_writer, "BATCH", 1)
    files = {f"page{n}": f"# Page {n}\n\nNumber {n} of the pages.\n" for n in range(300)}
    async with opens("ann") as ann:
        await indexed(ann, folder(tmp_path, "long", **files))
        await indexed(ann, folder(tmp_path, "secret", keeper=HARBOUR))
        await run(ann, "share", path=str(tmp_path / "secret"))
        await ann.sharing.share(str(tmp_path / "long"), "long")
        done = await run(ann, "unshare", path=str(tmp_path / "secret"))
        assert done.message == "secret is no longer shared. The cluster has erased it."
        share = await share_of(ann, "long")
        assert share is not None and share.state == "publishing" and share.pending
        monkeypatch.setattr(share_writer, "BATCH", 500)
        assert await ann.sharing.publisher.wait("long", 60)
        share = await share_of(ann, "long")
        assert share is not None and (share.chunks, share.pending) == (300, 0)
        await run(ann, "unshare", path=str(tmp_path / "long"))


async def test_a_share_follows_to_the_next_embedder(opens: Opens, tmp_path: Path) -> None:
    bay = folder(tmp_path, "bay", keeper=HARBOUR)
    async with opens("ann", embedder="hashing/words-256") as ann:
        await indexed(ann, bay)
        await run(ann, "share", path=bay)
    local = "local/all-MiniLM-L6-v2-int7"
    async with opens("ann", embedder=local) as ann, opens("cid", embedder=local) as cid:
        await indexed(cid, folder(tmp_path, "hill", hut=MOUNTAIN))
        await indexed(ann, bay)
        await ann.ingestion.wait_until_embedded()
        assert await ann.embedder.name() == local
        assert await ann.sharing.publisher.wait("bay", 30)
        share = await share_of(cid, "bay")
        assert share is not None and not share.words_only
        result = await run(cid, "search", query="who looks after the beacon")
        assert result.passages[0].path == "shared: bay/keeper.md" and not result.notice
        await run(ann, "unshare", path=bay)
