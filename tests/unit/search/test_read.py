"""Reading a document shows its file as it is now, if that may still be read."""

import asyncio
import os
import resource
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.errors import AllmaError, DocumentNotFound, InvalidArgument, UnreadableDocument
from allma_server.operations import BY_NAME, Call
from allma_server.operations.text import as_text
from allma_server.types import LOCAL

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")


async def do(engine: Engine, operation: str, /, **arguments: Any) -> Any:
    return await BY_NAME[operation](Call(engine, LOCAL), arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "sea.md").write_text("# Sea\n\nThe sea is salty.\n")
    (folder / "b.txt").write_text("".join(f"line {number}\n" for number in range(1, 121)))
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("sea.md", "b.txt"):
        (outside / name).write_text("nobody may see this\n")
    return folder


@pytest.fixture
async def indexed(engine: Engine, folder: Path) -> Engine:
    await do(engine, "ingest", paths=[str(folder)])
    return engine


@pytest.mark.parametrize(
    ("suffix", "first", "last"),
    [(":3", 3, 3), (":3-5", 3, 5), ("#L3", 3, 3), ("#L3-L5", 3, 5), ("#L3-5", 3, 5)],
)
async def test_a_printed_location_can_be_read(
    indexed: Engine, folder: Path, suffix: str, first: int, last: int
) -> None:
    path = folder / "b.txt"
    names = [str(path), "b.txt", "./b.txt", "notes/../b.txt", path.as_uri()]
    if suffix.startswith("#"):
        document = await indexed.catalog.document(str(path))
        assert document is not None
        names.append(f"allma://document/{document.id}")
    call = Call(indexed, LOCAL, folders=(str(folder),))
    for name in names:
        found = await BY_NAME["read"](call, {"source": name + suffix})
        assert (found.path, found.start_line, found.end_line) == (str(path), first, last), name
    found = await BY_NAME["read"](call, {"source": f"b.txt{suffix}", "start_line": 119})
    assert (found.start_line, found.end_line) == (119, 120)
    with pytest.raises(DocumentNotFound, match="is not in the index") as missing:
        await BY_NAME["read"](call, {"source": f"c.txt{suffix}"})
    assert f"Did you mean {path}?" in (missing.value.hint or "")


async def test_lines_in_a_name_are_checked_like_others(indexed: Engine, folder: Path) -> None:
    with pytest.raises(InvalidArgument, match="end_line 3 is before start_line 9"):
        await do(indexed, "read", source=f"{folder}/b.txt:9-3")
    with pytest.raises(InvalidArgument, match="ends at line 120"):
        await do(indexed, "read", source=f"{folder}/b.txt:500")
    for odd in (":0", ":", ":x", "#3", ":99999999999999999999"):
        with pytest.raises(DocumentNotFound):
            await do(indexed, "read", source=f"{folder}/b.txt{odd}")


@pytest.mark.parametrize("name", ["b.txt:3", "b.txt#L3-L5"])
async def test_a_file_named_like_a_location_comes_first(
    engine: Engine, folder: Path, name: str
) -> None:
    (folder / name).write_text("one\ntwo\n")
    await do(engine, "ingest", paths=[str(folder)])
    for source in (str(folder / name), name):
        found = await BY_NAME["read"](
            Call(engine, LOCAL, folders=(str(folder),)), {"source": source}
        )
        assert (found.path, found.end_line) == (str(folder / name), 2)
    lines = await do(engine, "read", source=f"{folder / name}:2")
    assert (lines.path, lines.text) == (str(folder / name), "two")


def _link(path: Path) -> None:
    path.symlink_to(path.parents[1] / "outside" / "b.txt")


def _linked_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 << 30)


@pytest.mark.parametrize("make", [_link, _linked_device, _pipe, _folder, _huge])
async def test_a_file_that_is_no_longer_regular_is_refused(
    indexed: Engine, folder: Path, make: Callable[[Path], None]
) -> None:
    path = folder / "b.txt"
    path.unlink()
    make(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(_refused(indexed, path))
        # Nobody else waits for them.
        group.create_task(do(indexed, "search", query="salty"))
        group.create_task(do(indexed, "status"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    found = await do(indexed, "search", query="line 77")
    assert found.passages[0].stale
    report = await do(indexed, "sync")
    assert [reason.path for reason in (*report.skipped, *report.failed)] in ([str(path)], [])


async def _refused(engine: Engine, path: Path) -> None:
    with pytest.raises(UnreadableDocument) as refused:
        await do(engine, "read", source=str(path))
    assert str(path) in refused.value.message and refused.value.hint


async def test_a_folder_that_became_a_link_reveals_nothing(indexed: Engine, folder: Path) -> None:
    (folder / "notes").rename(folder.parent / "moved")
    (folder / "notes").symlink_to(folder.parent / "outside")
    with pytest.raises(UnreadableDocument, match="link"):
        await do(indexed, "read", source=str(folder / "notes" / "sea.md"))
    found = await do(indexed, "search", query="salty")
    assert found.passages[0].stale


@pytest.mark.parametrize("name", ["end.md ", " begin.md"])
async def test_a_name_may_begin_or_end_with_a_blank(
    indexed: Engine, folder: Path, name: str
) -> None:
    (folder / name).write_text("blank\n")
    await do(indexed, "sync")
    assert (await do(indexed, "read", source=str(folder / name))).text == "blank"
    # A blank that was copied with a path is none of it.
    assert (await do(indexed, "read", source=f"{folder / 'b.txt'} ")).start_line == 1


@pytest.mark.parametrize("rules", [".gitignore", ".allmaignore", "notes/.ignore"])
async def test_a_file_that_is_now_ignored_is_not_shown(
    indexed: Engine, folder: Path, rules: str
) -> None:
    (folder / rules).write_text("*.md\n")
    with pytest.raises(UnreadableDocument, match="ignore"):
        await do(indexed, "read", source=str(folder / "notes" / "sea.md"))
    assert (await do(indexed, "read", source=str(folder / "b.txt"))).start_line == 1


async def test_a_forgotten_file_is_not_shown(indexed: Engine, folder: Path) -> None:
    await do(indexed, "forget", path=str(folder / "notes"))
    with pytest.raises(DocumentNotFound):
        await do(indexed, "read", source=str(folder / "notes" / "sea.md"))


async def test_a_file_over_a_lowered_limit_is_not_shown(config: Config, folder: Path) -> None:
    (folder / "large.txt").write_text("word\n" * 300_000)
    async with open_engine(config) as engine:
        await do(engine, "ingest", paths=[str(folder)])
    smaller = config.model_copy(update={"max_file_mb": 1})
    async with open_engine(smaller) as engine:
        with pytest.raises(UnreadableDocument, match="larger than the limit"):
            await do(engine, "read", source=str(folder / "large.txt"))


async def test_a_deleted_file_is_shown_as_it_was_indexed(indexed: Engine, folder: Path) -> None:
    (folder / "b.txt").unlink()
    excerpt = await do(indexed, "read", source=str(folder / "b.txt"), start_line=3, end_line=4)
    assert (excerpt.text, excerpt.source) == ("line 3\nline 4", "index")


# --- lines ----------------------------------------------------------------------------------------


async def test_a_range_of_lines_is_read_as_one_text(indexed: Engine, folder: Path) -> None:
    excerpt = await do(indexed, "read", source=str(folder / "b.txt"), start_line=77, end_line=78)
    assert (excerpt.text, excerpt.source) == ("line 77\nline 78", "disk")
    assert (excerpt.start_line, excerpt.end_line, excerpt.total_lines) == (77, 78, 120)
    assert excerpt.uri.endswith("b.txt#L77-L78")


@pytest.mark.parametrize("name", ["b.txt", "page.html"])
async def test_lines_past_the_end_are_an_error_with_the_last_line(
    engine: Engine, folder: Path, name: str
) -> None:
    (folder / "page.html").write_text("<h1>Sea</h1><p>The sea is salty.</p>")
    await do(engine, "ingest", paths=[str(folder)])
    with pytest.raises(InvalidArgument, match=r"ends at line \d+, before line 500"):
        await do(engine, "read", source=str(folder / name), start_line=500, end_line=510)


async def test_line_numbers_are_the_same_everywhere(engine: Engine, folder: Path) -> None:
    odd = "form\ffeed\x85next\u2028line\n"
    (folder / "odd.txt").write_bytes((odd * 40 + "mac\rwindows\r\nwhale ahoy\n").encode())
    await do(engine, "ingest", paths=[str(folder)])
    [passage] = (await do(engine, "search", query="whale ahoy", top_k=1)).passages
    assert passage.end_line == 43
    excerpt = await do(engine, "read", source=passage.path, start_line=43)
    assert (excerpt.text, excerpt.total_lines) == ("whale ahoy", 43)
    (folder / "odd.txt").unlink()
    excerpt = await do(engine, "read", source=passage.path, start_line=43)
    assert (excerpt.text, excerpt.total_lines) == ("whale ahoy", 43)


async def test_a_file_in_another_encoding_is_shown_decoded(engine: Engine, folder: Path) -> None:
    for encoding in ("utf-16", "utf-8-sig", "utf-16-le", "cp1252"):
        (folder / f"{encoding}.txt").write_text("Grüße vom Meer\nund so weiter\n" * 20, encoding)
    await do(engine, "ingest", paths=[str(folder)])
    for encoding in ("utf-16", "utf-8-sig", "utf-16-le", "cp1252"):
        excerpt = await do(engine, "read", source=str(folder / f"{encoding}.txt"), end_line=1)
        assert excerpt.text == "Grüße vom Meer", encoding


async def test_one_long_line_is_truncated(engine: Engine, folder: Path) -> None:
    (folder / "long.txt").write_text("ü" * 400_000)
    await do(engine, "ingest", paths=[str(folder)])
    excerpt = await do(engine, "read", source=str(folder / "long.txt"))
    assert excerpt.text == "ü" * 40_000


async def test_every_refusal_is_an_expected_error(indexed: Engine) -> None:
    for source in ("", " ", "/", "/nowhere", "allma://document/", "allma://document/999"):
        with pytest.raises(AllmaError):
            await do(indexed, "read", source=source)


@pytest.mark.parametrize("gone", ["the file", "the folder"])
async def test_reading_a_file_that_is_gone_says_so(
    indexed: Engine, folder: Path, gone: str
) -> None:
    path = folder / "notes" / "sea.md"
    [passage, *_] = (await do(indexed, "search", query="salty sea")).passages
    assert (await do(indexed, "read", source=str(path))).notice is None
    if gone == "the file":
        path.unlink()
    else:
        shutil.rmtree(folder)
    for source in (str(path), str(passage.chunk_id)):
        found = await do(indexed, "read", source=source)
        assert "The sea is salty." in found.text
        assert "is not on the disk now" in found.notice and "sea.md" in found.notice
        assert found.notice in as_text(found)


async def test_reading_text_from_the_index_says_when_the_file_has_changed(
    indexed: Engine, folder: Path
) -> None:
    path = folder / "notes" / "sea.md"
    [passage, *_] = (await do(indexed, "search", query="salty sea")).passages
    path.write_text("# Sea\n\nThe sea is deep.\n")
    found = await do(indexed, "read", source=f"chunk {passage.chunk_id}")
    assert "salty" in found.text and "has changed since it was indexed" in found.notice
    now = await do(indexed, "read", source=str(path))
    assert "deep" in now.text and now.notice is None


async def test_a_chunk_can_be_named_as_it_is_printed(indexed: Engine, folder: Path) -> None:
    [passage, *_] = (await do(indexed, "search", query="salty sea")).passages
    call = Call(indexed, LOCAL, folders=(str(folder),))
    for name in (f"chunk {passage.chunk_id}", f"Chunk {passage.chunk_id}", str(passage.chunk_id)):
        assert "salty" in (await BY_NAME["read"](call, {"source": name})).text
    (folder / "chunk 1").write_text("A file of this name.\n")
    await do(indexed, "sync")
    assert (await BY_NAME["read"](call, {"source": "chunk 1"})).text.startswith("A file")


async def test_the_scheme_of_a_uri_may_be_in_capital_letters(indexed: Engine, folder: Path) -> None:
    path = folder / "notes" / "sea.md"
    document = await indexed.catalog.document(str(path))
    assert document is not None
    call = Call(indexed, LOCAL, folders=(str(folder),))
    uri = path.as_uri().removeprefix("file")
    for name in (f"FILE{uri}", f"File{uri}#L3", f"ALLMA://document/{document.id}"):
        assert "salty" in (await BY_NAME["read"](call, {"source": name})).text, name
