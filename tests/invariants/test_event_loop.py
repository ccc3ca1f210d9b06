"""The event loop waits for neither disk nor parsers; a closed engine leaves nothing running."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from allma_server.config import Config
from allma_server.engine import open_engine
from tests.contract.test_reader import SAMPLES
from tests.e2e.test_main_job import SUFFIXES
from tests.unit.indexing.test_ingestion import do, index

ROOT = Path(__file__).parents[2]

# An audit hook stays for the life of its process, hence a process of its own.
JOB = """
import asyncio, os, sys, threading
from pathlib import Path

from allma_server.config import Config
from allma_server.engine import open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.types import LOCAL

folder, data = sys.argv[1:]
seen = set()


def note(what, path):
    # Files are opened one folder at a time, by names without their folders.
    name = os.path.basename(os.fsdecode(path)) if isinstance(path, (str, bytes, Path)) else ""
    if threading.current_thread() is threading.main_thread() and name in names:
        seen.add(f"{what} {name}")


def hook(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and arguments and names:
        note(event, arguments[0])


def noted(function):
    def call(path, *arguments, **more):
        note(f"os.{function.__name__}", path)
        return function(path, *arguments, **more)

    return call


async def main():
    config = Config(data_dir=Path(data), embedder="hashing/words-256", chat_provider="scripted")
    async with open_engine(config) as engine:
        async def do(name, **arguments):
            return await BY_NAME[name](Call(engine, LOCAL), arguments)
        report = await do("ingest", paths=[folder])
        assert report.indexed > 5, report
        passage = (await do("search", query="needle haystack")).passages[0]
        await do("ask", question="Where is the needle?")
        await do("read", source=passage.path)
        await do("sync")
        await do("forget", path=passage.path)


names = set()
sys.addaudithook(hook)
os.stat, os.lstat = noted(os.stat), noted(os.lstat)
names = {os.path.basename(folder), *os.listdir(folder)}
asyncio.run(main())
names = set()
readers = {"pypdf", "pypdfium2", "docx", "lxml.html", "trafilatura"} & set(sys.modules)
print(f"on the event loop: {sorted(seen)}; readers in this process: {sorted(readers)}")
"""


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "slow-disk"
    folder.mkdir()
    for name, sample in SAMPLES.items():
        (folder / f"{name}{SUFFIXES[name]}").write_bytes(sample())
    return folder


@pytest.mark.invariant(10)
def test_documents_are_opened_off_the_event_loop_and_parsed_in_workers(
    documents: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", JOB, str(documents), str(tmp_path / "data")],
        cwd=ROOT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "on the event loop: []; readers in this process: []"


@pytest.mark.invariant(10)
async def test_closing_a_busy_engine_ends_all_its_tasks_and_processes(
    config: Config, documents: Path
) -> None:
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    for number in range(300):
        (documents / f"lamp{number}.md").write_text(f"Lamp {number} burns. " * 50)
    async with open_engine(config) as engine:
        await do(engine, "search", query="lamp")
        async with asyncio.TaskGroup() as group:
            running = group.create_task(index(engine, documents))
            while not (await do(engine, "documents")).documents:
                pass
            running.cancel()
    assert asyncio.all_tasks() == tasks
    # The threads of the event loop's own pool stay with the loop.
    left = [t for t in threading.enumerate() if t not in threads and "asyncio" not in t.name]
    for thread in left:
        thread.join(10)
    assert [thread.name for thread in left if thread.is_alive()] == []
    # Of a process that has ended and is not collected yet, there are no arguments.
    running_now = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
    assert [words for words in running_now if str(config.data_dir) in " ".join(words)] == []
