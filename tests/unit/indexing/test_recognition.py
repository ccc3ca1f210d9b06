"""Text recognition (OCR) from scanned files to the index, with the recogniser `dots`."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from allma_server.config import Config
from allma_server.documents.ocr import client
from allma_server.engine import DATABASE, Engine, open_engine
from allma_server.errors import InvalidArgument
from allma_server.indexing import recognition
from allma_server.types import DocumentRow, RecognisedPage
from tests.unit.documents.scans import mixed_pdf, picture, scan
from tests.unit.indexing.test_ingestion import do, found, index

TIDES = "The moon pulls the tides twice a day."


@pytest.fixture
def config(config: Config, monkeypatch: pytest.MonkeyPatch) -> Config:
    # At the lowest priority, a test would wait for those that run beside it.
    monkeypatch.setattr(client, "NICENESS", 0)
    return config.model_copy(update={"ocr": "dots"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    return folder


async def recognised(engine: Engine, folder: Path) -> None:
    await index(engine, folder)
    await engine.ingestion.wait_until_recognised()


async def row(engine: Engine, name: str) -> DocumentRow:
    documents = (await do(engine, "documents")).documents
    return next(each for each in documents if Path(each.path).name == name)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The pages that were recognised."""
    pages: list[int] = []
    really = client.OcrWorker.recognise

    async def noted(self: Any, path: str, page: int, file_hash: str) -> RecognisedPage:
        pages.append(page)
        return await really(self, path, page, file_hash)

    monkeypatch.setattr(client.OcrWorker, "recognise", noted)
    return pages


async def test_text_in_pictures_and_scanned_pages_is_found_with_its_page(
    config: Config, folder: Path
) -> None:
    (folder / "photo.png").write_bytes(picture("A receipt for a harbour fee."))
    (folder / "fax.tiff").write_bytes(scan(["Dear Ann,"], ["the lighthouse is lit."], kind="TIFF"))
    (folder / "book.pdf").write_bytes(mixed_pdf("Whales sing.", [TIDES], "Ships sink.", ["Salt."]))
    async with open_engine(config) as engine:
        report = await index(engine, folder)
        assert report.indexed == 1
        assert "book.pdf" in await found(engine, "whales sing")
        await engine.ingestion.wait_until_recognised()
        passage = (await do(engine, "search", query="moon tides")).passages[0]
        assert (Path(passage.path).name, passage.page) == ("book.pdf", 2)
        assert TIDES in passage.text and "recognised text (OCR)" in passage.heading
        assert (await found(engine, "harbour fee"))[0] == "photo.png"
        fax = (await do(engine, "search", query="lighthouse")).passages[0]
        assert (Path(fax.path).name, fax.page) == ("fax.tiff", 2)
        book = await row(engine, "book.pdf")
        assert book.reason == "text of pages 2, 4 recognised by OCR, confidence 100 %"
        assert (await row(engine, "photo.png")).format == "image"
        outline = await do(engine, "read", source=str(folder / "book.pdf"))
        order = [outline.text.index(each) for each in ("Whales", TIDES, "Ships", "Salt")]
        assert order == sorted(order)


async def test_without_a_recogniser_the_ledger_names_the_extra(
    config: Config, folder: Path
) -> None:
    (folder / "photo.jpg").write_bytes(picture("A receipt.", kind="JPEG"))
    (folder / "scan.pdf").write_bytes(scan([TIDES]))
    (folder / "book.pdf").write_bytes(mixed_pdf("Whales sing.", ["The sun is hot."]))
    install = "pip install 'allma-server[ocr]'"
    async with open_engine(config.model_copy(update={"ocr": "off"})) as engine:
        await index(engine, folder)
        for name, state in (
            ("photo.jpg", "skipped"),
            ("scan.pdf", "skipped"),
            ("book.pdf", "indexed"),
        ):
            document = await row(engine, name)
            assert document.state == state and install in (document.reason or "")
    async with open_engine(config) as engine:
        await recognised(engine, folder)
        assert (await found(engine, "moon tides"))[0] == "scan.pdf"
        assert (await found(engine, "hot sun"))[0] == "book.pdf"
        assert (await row(engine, "photo.jpg")).state == "indexed"


async def test_other_documents_and_searches_do_not_wait(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    really = client.OcrWorker.recognise

    async def held_up(self: Any, path: str, page: int, file_hash: str) -> RecognisedPage:
        began.set()
        await go_on.wait()
        return await really(self, path, page, file_hash)

    monkeypatch.setattr(client.OcrWorker, "recognise", held_up)
    (folder / "scan.pdf").write_bytes(scan(["One."], [TIDES]))
    async with open_engine(config) as engine:
        await index(engine, folder)
        await began.wait()
        (folder / "whales.md").write_text("# Whales\n\nThey sing.\n")
        assert (await index(engine, folder)).indexed == 1
        result = await do(engine, "search", query="whales sing")
        assert [Path(each.path).name for each in result.passages] == ["whales.md"]
        assert "2 scanned pages" in result.notice
        job = next(each for each in (await do(engine, "status")).jobs if each.kind == "ocr")
        assert (job.done, job.total) == (0, 2) and "scan.pdf, page 1" in job.message
        go_on.set()
        await engine.ingestion.wait_until_recognised()
        result = await do(engine, "search", query="moon tides")
        assert Path(result.passages[0].path).name == "scan.pdf" and result.notice is None


async def test_a_page_is_recognised_once(
    config: Config, folder: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognition, "PAGES_PER_PUBLICATION", 2)
    (folder / "scan.pdf").write_bytes(scan(["One."], ["Two."], [TIDES]))
    async with open_engine(config) as engine:
        await recognised(engine, folder)
        assert calls == [1, 2, 3]
    other_chunks = config.model_copy(update={"chunk_size": 500})
    async with open_engine(other_chunks) as engine:
        (folder / "copy.pdf").write_bytes((folder / "scan.pdf").read_bytes())
        await recognised(engine, folder)
        assert set(await found(engine, "moon tides")) == {"scan.pdf", "copy.pdf"}
        assert calls == [1, 2, 3]
        (folder / "scan.pdf").write_bytes(scan(["Salt."]))
        await recognised(engine, folder)
        assert (await found(engine, "salt"))[0] == "scan.pdf"
        assert calls == [1, 2, 3, 1]


async def test_recognition_goes_on_after_a_restart_and_can_be_cancelled(
    config: Config, folder: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "scan.pdf").write_bytes(scan(["One."], [TIDES]))
    stopped = asyncio.Event()
    really = client.OcrWorker.recognise

    async def stops(self: Any, path: str, page: int, file_hash: str) -> RecognisedPage:
        if page == 2:
            stopped.set()
            await asyncio.Event().wait()
        return await really(self, path, page, file_hash)

    with monkeypatch.context() as patched:
        patched.setattr(client.OcrWorker, "recognise", stops)
        async with open_engine(config) as engine:
            await index(engine, folder)
            await stopped.wait()
            job = next(each for each in (await do(engine, "status")).jobs if each.kind == "ocr")
            assert (await do(engine, "jobs.cancel", job_id=job.id)).state == "cancelled"
            assert (await row(engine, "scan.pdf")).state == "skipped"
    calls.clear()
    async with open_engine(config) as engine:
        engine.ingestion.start_monitoring()
        await recognised(engine, folder)
        assert (await found(engine, "moon tides"))[0] == "scan.pdf"
        assert calls == [2]


async def test_forgetting_erases_recognised_text_from_the_disk(
    config: Config, folder: Path
) -> None:
    (folder / "scan.pdf").write_bytes(scan(["The vault opens with marmalade."]))
    (folder / "other.png").write_bytes(picture(TIDES))
    async with open_engine(config) as engine:
        await recognised(engine, folder)
        assert (await found(engine, "vault marmalade"))[0] == "scan.pdf"
        await do(engine, "forget", path=str(folder / "scan.pdf"))
        await engine.ingestion.wait_until_erased()
        assert await found(engine, "moon tides") == ["other.png"]
    for file in (config.data_dir / DATABASE).parent.rglob("*"):
        assert not file.is_file() or b"marmalade" not in file.read_bytes(), file


async def test_secrets_are_masked_before_recognised_text_is_stored(
    config: Config, folder: Path
) -> None:
    secret = "ghp_" + "aB3dE5fG7h" * 3 + "aB3dE5"
    (folder / "photo.png").write_bytes(picture(f"The token is {secret} for now."))
    async with open_engine(config) as engine:
        await recognised(engine, folder)
        [passage] = (await do(engine, "search", query="the token for now")).passages
        assert secret not in passage.text and "[secret" in passage.text
    for file in config.data_dir.rglob("*"):
        assert not file.is_file() or secret.encode() not in file.read_bytes(), file


async def test_pages_that_fail_are_listed_and_tried_again_when_asked(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "scan.pdf").write_bytes(mixed_pdf("Whales sing.", [TIDES]))
    with monkeypatch.context() as patched:
        patched.setattr(client, "CPU_SECONDS", 1e-4)
        patched.setattr(client, "WALL_FACTOR", 1e6)
        async with open_engine(config) as engine:
            await recognised(engine, folder)
            reason = (await row(engine, "scan.pdf")).reason or ""
            assert "OCR failed on page 2: It took more than" in reason
            await do(engine, "sync")
            assert await found(engine, "whales") == ["scan.pdf"]
    async with open_engine(config) as engine:
        await recognised(engine, folder)
        assert TIDES in (await do(engine, "search", query="moon tides")).passages[0].text


async def test_blank_pages_and_pictures_without_text_have_a_reason(
    config: Config, folder: Path
) -> None:
    (folder / "blank.png").write_bytes(picture())
    (folder / "icon.png").write_bytes(b"no picture")
    (folder / "blank.pdf").write_bytes(scan([]))
    async with open_engine(config) as engine:
        await recognised(engine, folder)
        for name in ("blank.png", "blank.pdf"):
            document = await row(engine, name)
            assert (document.state, document.reason) == ("skipped", "OCR found no text in it.")
        icon = await row(engine, "icon.png")
        assert (icon.state, icon.reason) == ("failed", "It is not a picture that can be decoded.")


async def test_an_unknown_recogniser_is_refused(config: Config) -> None:
    with pytest.raises(InvalidArgument, match="no recogniser 'letters'"):
        async with open_engine(config.model_copy(update={"ocr": "letters"})):
            pass
