"""`allma doctor` and `allma status` tell what the embedder does not know."""

from pathlib import Path

import pytest

from allma_server.config import Config
from allma_server.engine import open_engine
from allma_server.operations.text import render
from allma_server.providers.embedding.local import MODEL
from tests.unit.indexing.test_ingestion import do

ENGLISH = "The library lends books for three weeks, and films for one.\n"
ARABIC = "تعير المكتبة الكتب ثلاثة أسابيع والأفلام أسبوعا واحدا.\n"
THAI = "ห้องสมุดให้ยืมหนังสือสามสัปดาห์ และภาพยนตร์หนึ่งสัปดาห์\n"


async def said(config: Config, folder: Path, texts: list[str]):
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_text(text, "utf-8")
    config = config.model_copy(update={"embedder": "auto", "ollama_url": "http://127.0.0.1:9"})
    async with open_engine(config) as engine:
        await do(engine, "ingest", paths=[str(folder)])
        checks = {check.name: check for check in (await do(engine, "doctor")).checks}
        return checks["Languages"], await do(engine, "status")


async def test_text_in_an_unknown_script_is_named_with_a_model_that_knows_it(
    config: Config, tmp_path: Path
):
    check, status = await said(config, tmp_path, [ENGLISH, ARABIC, ARABIC + "1", THAI])
    assert check.state == "warning" and check.next_step and "ollama/bge-m3" in check.next_step
    assert "in Arabic and Thai script" in check.detail and "by words" in check.detail
    assert status.embedder.notice == check.detail
    assert check.detail in render(status)


async def test_nothing_is_said_about_a_little_text_in_another_script(
    config: Config, tmp_path: Path
):
    texts = [f"{ENGLISH} {number}" for number in range(15)]
    check, status = await said(config, tmp_path, [*texts, ARABIC])
    assert check.state == "ok" and status.embedder.notice is None


async def test_an_empty_index_has_no_notice(config: Config):
    async with open_engine(config) as engine:
        assert (await do(engine, "status")).embedder.notice is None


@pytest.mark.parametrize(
    ("embedder", "state"), [("hashing/words-256", "warning"), (f"local/{MODEL}", "ok")]
)
async def test_an_embedder_that_tells_nothing_apart_is_named(
    config: Config, tmp_path: Path, embedder: str, state: str
):
    (tmp_path / "a.txt").write_text(ENGLISH)
    async with open_engine(config.model_copy(update={"embedder": embedder})) as engine:
        await do(engine, "ingest", paths=[str(tmp_path / "a.txt")])
        checks = {check.name: check for check in (await do(engine, "doctor")).checks}
    check = checks["Embedder"]
    assert (check.state, "search ranks by words" in check.detail) == (state, state == "warning")
    assert state == "ok" or f"local/{MODEL}" in (check.next_step or "")
