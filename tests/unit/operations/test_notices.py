"""A notice and its code say what limited a search."""

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from allma_server.answering.refusal import REFUSAL
from allma_server.config import Config
from allma_server.engine import FULL_TEXT, Engine, open_engine
from allma_server.errors import DocumentNotFound, ProviderUnreachable
from allma_server.indexing import batch_embedder
from allma_server.operations.text import as_text
from allma_server.ports import Vector, Vectors
from allma_server.types import IngestReport
from tests.unit.indexing.test_ingestion import do
from tests.unit.indexing.test_schedule import large as large
from tests.unit.indexing.test_schedule import long_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "sea.md").write_text("# Sea\n\nThe sea is salty because rivers carry minerals.\n")
    return folder


async def reported(engine: Engine, **arguments: Any) -> list[tuple[str | None, str]]:
    """What search, explain and ask say of their limits; the same, whoever is asked."""
    search = await do(engine, "search", query="salty sea", **arguments)
    explain = await do(engine, "explain", query="salty sea", **arguments)
    ask = await do(engine, "ask", question="Why is the sea salty?", **arguments)
    assert REFUSAL not in ask.text
    answered = f"{ask.text} {ask.notice or ''}"
    assert (search.notice or "") in answered
    return [
        (search.notice_code, search.notice or ""),
        (explain.notice_code, explain.notice or ""),
        (ask.notice_code, answered),
    ]


def all_say(found: Sequence[tuple[str | None, str]], code: str, words: str) -> bool:
    return all(each[0] == code and words in each[1] for each in found)


async def test_an_empty_index_says_so(engine: Engine) -> None:
    assert all_say(await reported(engine), "nothing_indexed", "allma index DIR")


async def test_a_folder_without_text_says_so(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"\x89PNG")
    await do(engine, "ingest", paths=[str(folder)])
    assert all_say(await reported(engine), "nothing_indexed", "allma documents")


@pytest.mark.parametrize("indexed", [True, False], ids=["documents", "none"])
async def test_a_missing_folder_is_named(engine: Engine, folder: Path, indexed: bool) -> None:
    if not indexed:
        (folder / "sea.md").unlink()
    await do(engine, "ingest", paths=[str(folder)])
    shutil.rmtree(folder)
    for words in ("before a look", "after it"):
        for code, sentence in await reported(engine):
            assert f"{folder} no longer exists" in sentence, words
            assert f"`allma forget {folder}`" in sentence
            assert "No documents indexed" not in sentence and code is None
        [workspace] = (await do(engine, "status")).workspaces
        assert f"{folder} no longer exists" in workspace.reason
        assert workspace.documents == indexed
        assert f"{folder} no longer exists" in as_text(await do(engine, "sync"))


@pytest.mark.invariant(17)
async def test_a_pattern_without_files_is_distinguished_from_no_passage(
    engine: Engine, folder: Path
) -> None:
    await do(engine, "ingest", paths=[str(folder)])
    found = await reported(engine, path="docs/**/*.rst")
    assert all_say(found, "no_match_for_path", "No indexed file matches 'docs/**/*.rst'")
    found = await do(engine, "search", query="salty sea", path="*.md")
    assert (found.notice, found.notice_code) == (None, None)


@pytest.mark.invariant(17)
async def test_a_folder_that_waits_to_be_indexed_is_not_called_empty(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, resolved = asyncio.Event(), engine.embedder.resolved

    async def resolved_later() -> Any:
        await turn.wait()
        return await resolved()

    monkeypatch.setattr(engine.embedder, "resolved", resolved_later)
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(do(engine, "ingest", paths=[str(folder)]))
        while not (await do(engine, "status")).workspaces:
            pass
        found = await do(engine, "search", query="salty sea")
        turn.set()
    assert found.notice_code == "indexing"
    assert found.notice.startswith("Indexing is in progress (looking for files)")
    assert "No documents indexed" not in found.notice


@pytest.mark.invariant(17)
async def test_an_incomplete_index_reports_its_progress(
    config: Config, large: Path, folder: Path
) -> None:
    async with open_engine(config) as engine:
        await do(engine, "ingest", paths=[str(folder)])
        async with long_run(engine, large):
            elsewhere = await do(engine, "search", query="sea", workspace=str(folder))
            assert elsewhere.notice_code is None
            # Counted when it is reported, so only the beginning and the end are known here.
            found = await reported(engine, workspace=str(large))
            assert all_say(found, "indexing", "Indexing is in progress (")
            assert all_say(found, "indexing", " of 120 files); results may be incomplete.")
            status = await do(engine, "status")
            [workspace] = [w for w in status.workspaces if w.path == str(large)]
            assert workspace.total == 120 and workspace.done < 120
        after = await do(engine, "search", query="sea", workspace=str(large))
        assert after.notice_code is None
        assert all(w.total is None for w in (await do(engine, "status")).workspaces)


async def test_a_failing_embedder_is_reported_with_the_reason(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_embedder, "RETRY_SECONDS", 0.0)
    async with open_engine(config) as engine:
        embedder = await engine.embedder.resolved()

        async def away(given: Sequence[str], *, urgent: bool = False) -> Vectors:
            raise ProviderUnreachable("Nothing answers at the port.", "Start it.")

        async def away_too(text: str) -> Vector:
            raise ProviderUnreachable("Nothing answers at the port.", "Start it.")

        embedder.embed_documents = away  # type: ignore[method-assign]
        embedder.embed_query = away_too  # type: ignore[method-assign]
        report = await do(engine, "ingest", paths=[str(folder)])
        assert isinstance(report, IngestReport) and report.indexed == 1
        found = await reported(engine)
        assert all_say(found, "embedder_unavailable", "Nothing answers at the port.")


async def test_words_that_may_be_missed_are_reported(config: Config, folder: Path) -> None:
    async with open_engine(config) as engine:
        await do(engine, "ingest", paths=[str(folder)])
    shutil.rmtree(config.data_dir / FULL_TEXT)
    (config.data_dir / FULL_TEXT).write_text("in the place of the folder")
    async with open_engine(config) as engine:
        found = await reported(engine)
    assert all_say(found, "full_text_down", "Keyword search is slower and may miss words")


async def test_sync_of_a_missing_folder_is_refused(engine: Engine, folder: Path) -> None:
    await do(engine, "ingest", paths=[str(folder)])
    with pytest.raises(DocumentNotFound, match="There is no .*nope") as inside:
        await do(engine, "sync", path=str(folder / "nope"))
    assert str(folder) in (inside.value.hint or "")
    with pytest.raises(DocumentNotFound, match="not inside an indexed workspace"):
        await do(engine, "sync", path=str(folder.parent / "nope"))
    (folder / "part").mkdir()
    (folder / "part" / "new.md").write_text("New.\n")
    (folder / "other.md").write_text("Other.\n")
    assert (await do(engine, "sync", path=str(folder / "part"))).indexed == 1
    assert (await do(engine, "sync", path=str(folder))).indexed == 1
