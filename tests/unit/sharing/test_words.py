"""Words in shared folders are searched as words here: phrases, beginnings, misspellings, names."""

from pathlib import Path

import pytest

from tests.unit.sharing.engines import HARBOUR, KITCHEN, MOUNTAIN, Opens, folder, indexed, run

pytestmark = pytest.mark.cluster

PHRASES = {
    "exact": "# One\n\nThe old stone bridge carries the road, and nobody uses it.\n",
    "apart": "# Two\n\nThe bridge of the stone quarry is new, and the old stone is no bridge.\n",
    "other": "# Three\n\nAn old house, a stone wall, a bridge, stone, bridge, old, stone, old.\n",
}


async def test_phrases_beginnings_and_misspelt_words_are_found(
    opens: Opens, tmp_path: Path
) -> None:
    async with opens("ann") as ann, opens("cid") as cid:
        await indexed(ann, folder(tmp_path, "ways", keeper=HARBOUR, soup=KITCHEN, **PHRASES))
        await run(ann, "share", path=str(tmp_path / "ways"))
        await indexed(cid, folder(tmp_path, "hill", hut=MOUNTAIN))

        async def first(query: str) -> str:
            explained = await run(cid, "explain", query=query)
            lexical = [each for each in explained.candidates if each.lexical]
            return min(lexical, key=lambda each: each.lexical.rank).passage.path

        assert await first('"old stone bridge"') == "shared: ways/exact.md"
        assert await first("lightho*") == "shared: ways/keeper.md"
        assert await first("ligthouse") == "shared: ways/keeper.md"
        assert (await run(cid, "explain", query="ligthouse")).similar
        assert await first("potatos") == "shared: ways/soup.md"
        # A word that somebody has is not taken for misspelt.
        assert not (await run(cid, "explain", query="lighthouse")).similar
        await run(ann, "unshare", path=str(tmp_path / "ways"))


async def test_shared_files_are_found_by_their_names(opens: Opens, tmp_path: Path) -> None:
    async with opens("ann") as ann, opens("cid") as cid:
        code = tmp_path / "code"
        (code / "deep").mkdir(parents=True)
        (code / "deep" / "fusion.py").write_text("a = 1\n")
        (code / "users.py").write_text("import fusion\nfusion.fuse(fusion)\n")
        (code / "README.md").write_text("Words that say nothing of what is asked.\n")
        await indexed(ann, str(code))
        await run(ann, "share", path=str(code))
        await indexed(cid, folder(tmp_path, "hill", hut=MOUNTAIN))
        expected = {
            "fusion.py": "shared: code/deep/fusion.py",
            "deep/fusion.py": "shared: code/deep/fusion.py",
            "fusion": "shared: code/deep/fusion.py",
            "what is this project about": "shared: code/README.md",
        }
        for query, path in expected.items():
            result = await run(cid, "search", query=query)
            assert result.passages[0].path == path, query
        await run(ann, "unshare", path=str(code))
