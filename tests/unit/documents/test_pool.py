import asyncio
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from allma_server.config import Config
from allma_server.documents import pool as pool_module
from allma_server.documents.chunking import ChunkSettings, chunk
from allma_server.documents.pool import ParserPool, open_parser_pool
from allma_server.documents.readers import markdown as markdown_reader
from allma_server.documents.worker import Limits
from allma_server.errors import LimitReached, NothingToIndex, UnreadableDocument
from allma_server.providers.embedding import open_embedder
from allma_server.providers.embedding.local import FOLDER

SETTINGS = ChunkSettings(tokenizer_file=str(FOLDER / "tokenizer.json"))


@pytest.fixture
async def parser() -> AsyncIterator[ParserPool]:
    pool = ParserPool(Limits(5_000_000, SETTINGS), workers=2, cpu_seconds=30)
    yield pool
    await pool.close()


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


async def test_a_file_comes_back_as_chunks(parser: ParserPool, tmp_path: Path) -> None:
    source = "---\ntitle: Guide\n---\n\n# Install\n\n" + "Take the package and run it. " * 200
    parsed = await parser.parse(write(tmp_path / "guide.md", source))
    extract = markdown_reader.read(source.encode(), tmp_path / "guide.md")
    assert parsed.chunks == chunk(extract, "Guide", SETTINGS)
    assert (parsed.format, parsed.title) == ("markdown", "Guide")
    assert len(parsed.chunks) > 5


async def test_a_document_of_many_chunks_arrives_whole(parser: ParserPool, tmp_path: Path) -> None:
    lines = "".join(f"Line {i} says something that is worth a sentence.\n" for i in range(5_000))
    parsed = await parser.parse(write(tmp_path / "log.txt", lines))
    assert [c.index for c in parsed.chunks] == list(range(len(parsed.chunks)))
    assert parsed.chunks[-1].end_line == 5_000


async def test_unusual_names_and_texts_are_transferred_unchanged(
    parser: ParserPool, tmp_path: Path
) -> None:
    name = tmp_path / "line\nbreak \U0001f600 \udcff.txt"
    parsed = await parser.parse(
        write(name, "\U0001f600 half a pair: \ud83d".encode("utf-16", "surrogatepass"))
    )
    assert parsed.title == name.name
    assert "\U0001f600" in parsed.chunks[0].text
    parsed.chunks[0].text.encode("utf-8")  # which a lone surrogate would refuse


async def test_processes_are_started_on_demand_up_to_the_limit(
    parser: ParserPool, tmp_path: Path
) -> None:
    paths = [write(tmp_path / f"{i}.txt", f"text {i}") for i in range(12)]
    assert parser.pids == []
    await parser.parse(paths[0])
    assert len(parser.pids) == 1
    parsed = await asyncio.gather(*map(parser.parse, paths))
    assert [p.chunks[0].text for p in parsed] == [f"text {i}" for i in range(12)]
    assert len(parser.pids) == 2


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.txt", b"", "empty"),
        ("song.mp3", b"ID3", "does not read"),
        ("binary.txt", bytes(range(256)) * 50, "binary"),
        ("huge.txt", b"x" * 5_000_001, "larger than 5 MB"),
    ],
)
async def test_files_without_text_are_skipped_with_the_reason(
    parser: ParserPool, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    with pytest.raises(NothingToIndex, match=reason):
        await parser.parse(write(tmp_path / name, content))


async def test_only_regular_files_are_opened(parser: ParserPool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(NothingToIndex, match="regular"):
        await parser.parse(str(tmp_path / "pipe.txt"))
    with pytest.raises(NothingToIndex, match="regular"):
        await parser.parse(str(tmp_path))
    (tmp_path / "link.txt").symlink_to("/etc/hostname")
    with pytest.raises(NothingToIndex, match="link"):
        await parser.parse(str(tmp_path / "link.txt"))
    with pytest.raises(UnreadableDocument, match="No such file"):
        await parser.parse(str(tmp_path / "gone.txt"))


async def test_a_sparse_file_of_gigabytes_is_not_read(parser: ParserPool, tmp_path: Path) -> None:
    with (tmp_path / "sparse.txt").open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(NothingToIndex, match="larger"):
        await parser.parse(str(tmp_path / "sparse.txt"))


WORD = "harbour "
LONG = {
    "changelog.md": "## 1.2 (2020-01-01)\n\n- fix `harbour` in [ferry](https://e.org/1)\n\n"
    * 6_500,
    "table.md": "|a|b|c|\n|-|-|-|\n" + "|harbour ferry|12|x|\n" * 20_000,
    "line.txt": WORD * 60_000,
    "blankless.txt": "harbour" * 70_000,
    "functions.py": "".join(f"def ferry{n}(a, b):\n    return a + b\n\n\n" for n in range(12_000)),
    "unclosed.py": "def (((\n" * 60_000,
    "deep.json": "[" * 250_000 + "]" * 250_000,
    "field.csv": 'a,b\n1,"' + WORD * 60_000,
    "wide.csv": "harbour," * 60_000,
    "cell.ipynb": '{"cells": [{"source": "' + WORD * 60_000 + '"}]}',
}
"""Half a megabyte each, of what takes the square of its length when it is read carelessly."""


@pytest.mark.parametrize("name", LONG)
async def test_long_files_take_little_processor_time(tmp_path: Path, name: str) -> None:
    # Each takes 1 to 3 s, the square of its length would take minutes; machines differ by less.
    pool = ParserPool(Limits(5_000_000, SETTINGS), workers=1, cpu_seconds=20)
    parsed = await pool.parse(write(tmp_path / name, LONG[name]))
    await pool.close()
    assert len(parsed.chunks) > 100


# --- files that take their process down ---------------------------------------------------------

SLOW = "a\n" * 2_400_000
"""Markdown that takes seconds to read."""


async def test_a_file_over_the_time_limit_fails_and_its_process_is_killed(
    tmp_path: Path,
) -> None:
    pool = ParserPool(Limits(5_000_000, SETTINGS), workers=1, cpu_seconds=0.1)
    with pytest.raises(LimitReached, match=r"0\.192 s of processor time"):
        await pool.parse(write(tmp_path / "slow.md", SLOW), len(SLOW))
    assert pool.pids == []
    await pool.close()


async def test_a_hanging_process_is_killed(tmp_path: Path) -> None:
    # Less than a process takes to start, so that nothing has to be waited for.
    pool = ParserPool(Limits(5_000_000, SETTINGS), 1, cpu_seconds=30, wall_factor=0.0005)
    with pytest.raises(LimitReached, match=r"did not end within 0\.015 s"):
        await pool.parse(write(tmp_path / "quick.md", "quick"))
    assert pool.pids == []
    await pool.close()


async def test_a_file_that_crashes_its_process_fails_alone(
    parser: ParserPool, tmp_path: Path
) -> None:
    quick, slow = write(tmp_path / "quick.md", "quick"), write(tmp_path / "slow.md", SLOW)
    await parser.parse(quick)
    (pid,) = parser.pids

    async def parse_slow() -> None:
        with pytest.raises(UnreadableDocument, match="crashed"):
            await parser.parse(slow)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(parse_slow())
        await asyncio.sleep(0)  # the task begins
        os.kill(pid, signal.SIGKILL)
    assert (await parser.parse(quick)).chunks


async def test_a_file_that_needs_too_much_memory_fails_alone(tmp_path: Path) -> None:
    hungry, quick = tmp_path / "hungry.txt", write(tmp_path / "quick.md", "quick")
    with hungry.open("wb") as file:
        file.truncate(1 << 30)
    pool = ParserPool(Limits(2 << 30, SETTINGS, memory=512 << 20), workers=1, cpu_seconds=60)
    with pytest.raises(UnreadableDocument, match="too much memory"):
        await pool.parse(str(hungry))
    assert (await pool.parse(quick)).chunks
    await pool.close()


async def test_a_failing_library_is_named_and_the_process_continues(
    parser: ParserPool, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.docx"
    with zipfile.ZipFile(damaged, "w") as archive:
        archive.writestr("[Content_Types].xml", "<not xml")
    with pytest.raises(UnreadableDocument):
        await parser.parse(str(damaged))
    before = parser.pids
    assert (await parser.parse(write(tmp_path / "quick.md", "quick"))).chunks
    assert parser.pids == before


async def test_a_cancelled_file_leaves_the_parser_usable(
    parser: ParserPool, tmp_path: Path
) -> None:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(parser.parse(write(tmp_path / "slow.md", SLOW)))
        await asyncio.sleep(0)  # the task begins
        task.cancel()
    assert (await parser.parse(write(tmp_path / "quick.md", "quick"))).chunks


# --- processes that have served -----------------------------------------------------------------


async def ended(pid: int) -> None:
    """Waits for the end of a process."""
    end = asyncio.Event()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    asyncio.get_running_loop().add_reader(descriptor, end.set)
    try:
        async with asyncio.timeout(20):
            await end.wait()
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


async def test_an_idle_process_ends_and_the_next_file_starts_another(tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", "text")
    pool = ParserPool(Limits(5_000_000, SETTINGS), workers=1, cpu_seconds=30, idle_seconds=0.1)
    await pool.parse(path)
    (pid,) = pool.pids
    await ended(pid)
    assert (await pool.parse(path)).chunks
    assert pool.pids != [pid]
    await pool.close()


async def test_a_process_is_replaced_after_many_files(
    parser: ParserPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "FILES_PER_PROCESS", 3)
    path = write(tmp_path / "a.md", "text")
    await parser.parse(path)
    (pid,) = parser.pids
    for _ in range(3):
        await parser.parse(path)
    await ended(pid)


async def test_a_process_that_needed_much_memory_is_replaced(
    parser: ParserPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "MAX_PEAK_MEMORY", 1)
    path = write(tmp_path / "a.md", "text")
    await parser.parse(path)
    (pid,) = parser.pids
    await ended(pid)
    assert (await parser.parse(path)).chunks


async def test_memory_of_the_parent_is_not_counted_for_the_reader(
    parser: ParserPool, tmp_path: Path
) -> None:
    ballast = b"x" * (pool_module.MAX_PEAK_MEMORY + (50 << 20))
    del ballast
    path = write(tmp_path / "a.md", "text")
    await parser.parse(path)
    before = parser.pids
    await parser.parse(path)
    assert parser.pids == before


async def test_closing_ends_all_processes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", "text")
    pool = ParserPool(Limits(5_000_000, SETTINGS), workers=2, cpu_seconds=30)
    await asyncio.gather(pool.parse(path), pool.parse(path))
    pids = pool.pids
    assert len(pids) == 2
    await pool.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_chunks_are_cut_to_the_embedder_s_limit(config: Config, tmp_path: Path) -> None:
    path = write(tmp_path / "a.md", "Some words that fill a sentence. " * 200)
    async with (
        open_embedder("hashing/words-256", config) as embedder,
        open_parser_pool(config.model_copy(update={"chunk_size": 300}), embedder) as parser,
    ):
        parsed = await parser.parse(path)
    assert 100 < max(len(c.text) for c in parsed.chunks) <= 300


def test_the_parent_loads_no_parsing_library() -> None:
    code = "import sys, json, allma_server.documents.pool; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.check_output([sys.executable, "-c", code])))
    heavy = {"semantic_text_splitter", "tokenizers", "tree_sitter", "markdown_it", "lxml", "docx"}
    assert not heavy & loaded


def test_a_worker_starts_without_rarely_needed_libraries() -> None:
    heavy = "asyncio email docx lxml markdown_it numpy pydantic pypdf pypdfium2 chardet zipfile"
    program = (
        "import sys, allma_server.documents.worker\n"
        f"print([name for name in {heavy.split()} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n"
