import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import psutil
import pytest
from blockbuster import blockbuster_ctx

from allma_server.config import Config
from allma_server.daemon.link import dial, greet
from allma_server.engine import Engine, open_engine
from allma_server.storage.lock import LOCK_FILE, own_data_directory
from tests.ollama.fixtures import ollama as ollama
from tests.ollama.fixtures import unused_url as unused_url
from tests.processes import wait_until_ended

SHARED_DATA = Path(
    os.environ.get("SHARED_DATA_DIR", Path(__file__).parents[2] / "shared" / "data")  # noqa: TID251
)
"""Evaluation data beside the project; tests that use it pass without it."""

# Each process that tests start, and each run of them, would compile the same modules again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # noqa: TID251


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Restore SIGINT, so that Ctrl-C stops the processes that tests start.

    Background jobs of a shell ignore it, and their child processes inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def leaves_nothing_running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Check that the tests of a module leave no process, socket or lock behind."""
    yield
    base = tmp_path_factory.getbasetemp()
    left = [p for p in psutil.process_iter(["cmdline"]) if f"{base}{os.sep}" in " ".join(_words(p))]
    assert not left, f"still running: {[_words(process) for process in left]}"
    assert not list(base.rglob("allma/*.sock")), "a daemon left its socket"
    for lock in base.rglob(LOCK_FILE):
        with own_data_directory(lock.parent):
            pass


def _words(process: psutil.Process) -> list[str]:
    return process.info["cmdline"] or []


@pytest.fixture(autouse=True)
def loop_never_blocks() -> Iterator[None]:
    """Fail a test in which Allma's code blocks the event loop.

    The exceptions are code of other processes that tests call in theirs: the workers', and what a
    shell or another client does before or beside a loop without other clients.
    """
    with blockbuster_ctx("allma_server") as detector:
        for name in ("os.getcwd", "os.path.abspath"):
            detector.functions[name].deactivate()  # the kernel answers them without the disk
        for function in detector.functions.values():
            function.can_block_in("tests/audit.py", "faults")
            function.can_block_in(
                "allma_server/storage/archive/worker.py", {"convert_here", "rescue_here"}
            )
            function.can_block_in("allma_server/cli/shell.py", "complete")
            # Settings are read before a loop begins, or in a thread; tests make them in theirs.
            function.can_block_in("allma_server/locations.py", {"socket_path", "_at_home"})
        yield


@pytest.fixture
def shared_data() -> Path:
    return SHARED_DATA


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Yield a temporary folder with a short path: paths of sockets are limited in length."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return settings for a fast engine: hashing embeddings, a scripted model, no vector store.

    Tests of what a store keeps set `vector_store`.
    """
    return Config(
        data_dir=tmp_path / "allma-data",
        embedder="hashing/words-256",
        chat_provider="scripted",
        vector_store="exact",
    )


@pytest.fixture
async def engine(config: Config) -> AsyncGenerator[Engine]:
    """Yield a new engine for one test."""
    async with open_engine(config) as opened:
        yield opened


@pytest.fixture(autouse=True)
def isolated(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Isolate tests from the settings, data and daemons of the user who runs them.

    Yields a temporary home. Daemons that a test started are stopped after it.
    """
    for name in [name for name in os.environ if name.startswith("ALLMA_")]:  # noqa: TID251
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("ALLMA_CONFIG", str(home / "config.toml"))
    monkeypatch.setenv("ALLMA_DATA_DIR", str(home / "data"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))
    yield home
    # The daemon of a client that passes no environment has its socket below HOME.
    for place in home.rglob("allma/*.sock"):
        if (link := dial(place)) is not None:
            with link:
                answer = greet(link, place, {"protocol": "control", "command": "stop"})
            assert answer is not None and "pid" in answer
            wait_until_ended(answer["pid"])
