"""Embedding models in folders of the user's, while documents are indexed and searched."""

import shutil
from pathlib import Path

import pytest

from allma_server.config import Config
from allma_server.engine import Engine, import_data, open_engine
from tests.unit.indexing.test_ingestion import do, found, index
from tests.unit.indexing.test_vector_backfill import until
from tests.unit.providers.embedding.model_folders import write_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "sea.md").write_text("# Sea\n\nThe sea is salty from minerals.\n")
    (folder / "moon.md").write_text("# Moon\n\nThe moon pulls the tides.\n")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def with_model(config: Config, model: Path) -> Config:
    return config.model_copy(update={"embedder": f"onnx/{model}"})


async def missing_vectors(engine: Engine) -> int:
    embedder = await engine.embedder.resolved()
    return await engine.catalog.count_missing_vectors(embedder.identity)


async def test_a_model_that_cannot_be_used_does_not_replace_the_one_that_serves(
    config: Config, folder: Path, model: Path
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
    write_model(model, factor=float("nan"))
    async with open_engine(with_model(config, model)) as engine:

        async def says_why() -> bool:
            return "not finite" in ((await do(engine, "status")).embedder.reason or "")

        await do(engine, "sync")
        await until(says_why, engine)
        (folder / "new.md").write_text("# New\n\nAbout whales.\n")
        assert (await do(engine, "sync")).indexed == 1
        assert (await do(engine, "status")).embedder.name == "hashing/words-256"
        assert "new.md" in await found(engine, "whales")
    write_model(model)
    async with open_engine(with_model(config, model)) as engine:
        await do(engine, "sync")
        await engine.ingestion.wait_until_embedded()
        assert (await do(engine, "status")).embedder.name == f"onnx/{model}"
        assert not await missing_vectors(engine)


async def test_without_its_folder_files_are_indexed_and_get_their_vectors_later(
    config: Config, folder: Path, model: Path
) -> None:
    config = with_model(config, model)
    async with open_engine(config) as engine:
        await index(engine, folder)
    away = shutil.move(model, model.with_name("elsewhere"))
    async with open_engine(config) as engine:
        (folder / "new.md").write_text("# New\n\nAbout whales.\n")
        report = await do(engine, "sync")
        assert report.indexed == 1 and "does not exist" in report.notice
        result = await do(engine, "search", query="whales")
        assert result.passages and "does not exist" in (result.notice or "")
        assert "does not exist" in ((await do(engine, "status")).embedder.reason or "")
        shutil.move(away, model)

        async def complete() -> bool:
            await do(engine, "sync")
            return not await missing_vectors(engine)

        await until(complete, engine)
        assert (await do(engine, "search", query="whales")).notice is None


async def test_a_changed_model_embeds_everything_again_and_is_not_compared_with_the_former(
    config: Config, folder: Path, model: Path
) -> None:
    config = with_model(config, model)
    async with open_engine(config) as engine:
        await index(engine, folder)
        former = (await engine.embedder.resolved()).identity
    write_model(model, seed=1, dimensions=48)
    async with open_engine(config) as engine:
        embedder = await engine.embedder.resolved()
        assert embedder.identity != former
        result = await do(engine, "search", query="salty minerals")
        assert Path(result.passages[0].path).name == "sea.md", "found by its words"
        await do(engine, "sync")
        await engine.ingestion.wait_until_embedded()
        assert not await missing_vectors(engine)
        assert (await do(engine, "status")).embedder.dimensions == 48
        assert former in await engine.embedder.retained(), "as when another one takes over"


async def test_old_vectors_stay_when_nothing_was_searched_since_the_start(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        async with engine.catalog._db.transaction() as tx:
            await tx.execute("UPDATE embeddings SET used_on = '2020-01-01'")
    async with open_engine(config) as engine:
        await engine.ingestion.maintenance.run_once()
        assert not await missing_vectors(engine)


async def test_another_model_takes_over_from_one_that_is_gone_for_good(
    config: Config, folder: Path, model: Path
) -> None:
    async with open_engine(with_model(config, model)) as engine:
        await index(engine, folder)
    shutil.rmtree(model)
    async with open_engine(config) as engine:  # its settings name another one
        (folder / "new.md").write_text("# New\n\nAbout whales.\n")
        assert (await do(engine, "sync")).indexed == 1

        async def has_taken_over() -> bool:
            return (await do(engine, "status")).embedder.name == config.embedder

        await until(has_taken_over, engine)
        await engine.ingestion.wait_until_embedded()
        assert not await missing_vectors(engine)
        assert (await do(engine, "status")).embedder.reason is None


async def test_an_archive_is_searched_and_extended_where_its_model_is_not_there(
    config: Config, folder: Path, model: Path, tmp_path: Path
) -> None:
    async with open_engine(with_model(config, model)) as engine:
        await index(engine, folder)
        await do(engine, "export", path=str(tmp_path / "index.allma"))
    shutil.rmtree(model)
    there = config.model_copy(update={"data_dir": tmp_path / "there", "embedder": "auto"})
    await import_data(str(tmp_path / "index.allma"), there.data_dir, replace=False)
    async with open_engine(there) as engine:
        assert "sea.md" in await found(engine, "salty minerals")
        (folder / "new.md").write_text("# New\n\nAbout whales.\n")
        report = await index(engine, folder)
        assert report.indexed == 1 and "does not exist" in (report.notice or "")
        assert "new.md" in await found(engine, "whales")
