"""Folders that a client names through a link."""

from pathlib import Path

import pytest

from allma_server.engine import Engine
from allma_server.errors import DocumentNotFound
from allma_server.operations import BY_NAME, Call, NullProgress
from allma_server.types import LOCAL, DocumentPage, Excerpt, ForgetReport, SearchResult


@pytest.fixture
async def link(engine: Engine, tmp_path: Path) -> Path:
    """A link to a folder that was indexed by that name."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "sea.md").write_text("# Sea\n\nThe sea is salty because rivers carry minerals.\n")
    link = tmp_path / "link"
    link.symlink_to(folder)
    await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(link)]})
    return link


async def test_a_search_in_a_linked_folder_finds_what_is_in_it(engine: Engine, link: Path) -> None:
    (link.parent / "other").mkdir()
    named: SearchResult = await BY_NAME["search"](
        Call(engine, LOCAL), {"query": "salty sea", "workspace": str(link)}
    )
    own = Call(engine, LOCAL, NullProgress(), (str(link),))
    found: SearchResult = await BY_NAME["search"](own, {"query": "salty sea"})
    elsewhere = Call(engine, LOCAL, NullProgress(), (str(link.parent / "other"),))
    nothing: SearchResult = await BY_NAME["search"](elsewhere, {"query": "salty sea"})
    assert [len(each.passages) for each in (named, found, nothing)] == [1, 1, 0]


async def test_a_linked_file_is_listed_read_and_forgotten(engine: Engine, link: Path) -> None:
    call, file = Call(engine, LOCAL), str(link / "sea.md")
    listed: DocumentPage = await BY_NAME["documents"](call, {"workspace": str(link)})
    assert listed.total == 1
    read: Excerpt = await BY_NAME["read"](call, {"source": file})
    assert "rivers carry minerals" in read.text
    await BY_NAME["sync"](call, {"path": str(link)})
    forgotten: ForgetReport = await BY_NAME["forget"](call, {"path": file})
    assert forgotten.documents == 1
    with pytest.raises(DocumentNotFound):
        await BY_NAME["read"](call, {"source": file})


@pytest.mark.parametrize("name", ["all", "*", "null", "None", " ", "project", "URI", "."])
async def test_a_workspace_is_accepted_in_every_form(engine: Engine, link: Path, name: str) -> None:
    folder = link.with_name("project")
    named = folder.as_uri() if name == "URI" else name
    call = Call(engine, LOCAL, folders=(str(folder),) if name == "." else ())
    found: SearchResult = await BY_NAME["search"](call, {"query": "salty", "workspace": named})
    assert len(found.passages) == 1
    listed: DocumentPage = await BY_NAME["documents"](call, {"workspace": named})
    assert listed.total == 1


@pytest.mark.parametrize("operation", ["search", "explain", "ask", "documents"])
@pytest.mark.parametrize("name", ["nosuch", "../elsewhere", "/nope", "file:///nope"])
async def test_an_unknown_workspace_is_answered_with_the_indexed_ones(
    engine: Engine, link: Path, name: str, operation: str
) -> None:
    call = Call(engine, LOCAL, folders=(str(link.parent / "deep" / "down"),))
    asked = {"ask": {"question": "salty?"}, "documents": {}}.get(operation, {"query": "salty"})
    with pytest.raises(DocumentNotFound) as failure:
        await BY_NAME[operation](call, {**asked, "workspace": name})
    assert "is not inside an indexed workspace" in failure.value.message
    assert failure.value.hint == f"Indexed: {link.with_name('project')}."


@pytest.mark.parametrize("operation", ["search", "explain", "ask", "documents"])
async def test_an_unknown_folder_in_a_workspace_is_an_error(
    engine: Engine, link: Path, operation: str
) -> None:
    folder = link.with_name("project")
    call = Call(engine, LOCAL, folders=(str(folder),))
    asked = {"ask": {"question": "salty?"}, "documents": {}}.get(operation, {"query": "salty"})
    with pytest.raises(DocumentNotFound) as failure:
        await BY_NAME[operation](call, {**asked, "workspace": "nosuch"})
    assert "nosuch is not on the disk, nor in the index" in failure.value.message
    assert failure.value.hint == f"Indexed: {folder}."


async def test_a_client_inside_a_workspace_can_name_it(engine: Engine, link: Path) -> None:
    folder = link.with_name("project")
    call = Call(engine, LOCAL, folders=(str(folder),))
    for name in ("project", "Project"):
        listed: DocumentPage = await BY_NAME["documents"](call, {"workspace": name})
        assert listed.total == 1
    (folder / "empty").mkdir()
    found: SearchResult = await BY_NAME["search"](call, {"query": "salty", "workspace": "empty"})
    assert not found.passages and found.notice_code == "nothing_indexed"
