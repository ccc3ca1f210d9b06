"""Files that browsers upload into indexed folders."""

import os
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from allma_server.engine import Engine
from tests.protocol.http_server import browser, served, token_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

BINARY = {"content-type": "application/octet-stream"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(engine: Engine) -> AsyncGenerator[str]:
    async with served(engine) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="module")
async def writer(engine: Engine, url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with browser(url, await token_of(engine, "wim", can="write")) as client:
        yield client


async def upload(
    client: httpx.AsyncClient, folder: Path, name: str, content: bytes = b"Some words.\n"
) -> httpx.Response:
    query = {"workspace": str(folder), "name": name}
    return await client.post("/api/upload", params=query, content=content, headers=BINARY)


async def test_a_file_is_stored_and_found(writer: httpx.AsyncClient, notes: Path) -> None:
    stored = await upload(writer, notes, "Gezeiten heute.md", b"# Tides\n\nHigh water at noon.\n")
    assert (stored.status_code, stored.json()["indexed"]) == (200, 1)
    found = (await writer.post("/api/search", json={"query": "high water noon"})).json()
    assert found["passages"][0]["path"] == str(notes / "Gezeiten heute.md")


async def test_an_existing_file_is_never_replaced(writer: httpx.AsyncClient, notes: Path) -> None:
    before = (notes / "glacier.md").read_bytes()
    refused = await upload(writer, notes, "glacier.md", b"gone")
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_argument")
    assert "exists" in refused.json()["message"]
    assert (notes / "glacier.md").read_bytes() == before


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../up.md", "a/b.md", "a\\b.md", "/etc/x.md", "C:x.md", "nul.md", "COM1",
        ".env", "id_rsa", "~x.md", "x.md~", "x.md ", " x.md", "x.", "a\nb.md", "a\0b.md",
        "cod\u202edm.exe.md", "x" * 201 + ".md", "photo.png", "a?.md", "x\u200b.md",
    ],
)  # fmt: skip
async def test_names_that_are_no_ordinary_file_are_refused(
    writer: httpx.AsyncClient, notes: Path, name: str
) -> None:
    before = sorted(os.listdir(notes))
    refused = await upload(writer, notes, name)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_argument")
    assert sorted(os.listdir(notes)) == before


async def test_binary_data_is_told_not_indexed(writer: httpx.AsyncClient, notes: Path) -> None:
    report = (await upload(writer, notes, "noise.md", bytes(range(256)) * 40)).json()
    assert report["indexed"] == 0
    assert (report["skipped"] + report["failed"])[0]["reason"]


async def test_what_is_too_large_or_empty_is_refused(
    writer: httpx.AsyncClient, notes: Path, engine: Engine
) -> None:
    most = engine.config.max_file_mb * 1_000_000
    for content in (b"x" * (most + 1), b""):
        assert (await upload(writer, notes, "large.md", content)).status_code == 400
    assert not (notes / "large.md").exists()


async def test_only_indexed_folders_take_files(
    writer: httpx.AsyncClient, notes: Path, tmp_path: Path
) -> None:
    (notes / "out").symlink_to(tmp_path)
    for folder in (tmp_path, notes / "out", notes / "none", notes / "glacier.md"):
        refused = await upload(writer, folder, "new.md")
        assert refused.status_code in (400, 404), refused.text
    (notes / "out").unlink()
    assert os.listdir(tmp_path) == []


async def test_a_reader_may_not_upload(engine: Engine, url: str, notes: Path) -> None:
    async with browser(url, await token_of(engine, "rea")) as reader:
        refused = await upload(reader, notes, "reader.md")
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert not (notes / "reader.md").exists()


async def test_a_writer_uploads_only_into_granted_folders(
    engine: Engine, url: str, notes: Path
) -> None:
    inside = notes / "inside"
    os.makedirs(inside, exist_ok=True)
    token = await token_of(engine, "ina", can="write", workspaces=[str(inside)])
    async with browser(url, token) as writer:
        refused = await upload(writer, notes, "outside.md")
        assert (refused.status_code, refused.json()["code"]) == (404, "document_not_found")
        assert (await upload(writer, inside, "within.md")).status_code == 200
    assert not (notes / "outside.md").exists()
