"""A torn Chroma directory is detected without opening it."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import chromadb
import numpy as np
import pytest
from chromadb.config import Settings

from allma_server.storage.vectors.stores.chroma_health import Slots, TornIndex, inspect


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as Chroma leaves it: 1,200 rows, of which 200 are deleted."""
    directory = tmp_path_factory.mktemp("chroma")
    client = chromadb.PersistentClient(str(directory), Settings(anonymized_telemetry=False))
    collection = client.create_collection("sound", embedding_function=None)
    vectors = np.random.default_rng(3).standard_normal((1200, 8)).astype(np.float32)
    ids = [str(i) for i in range(1200)]
    collection.upsert(ids=ids, embeddings=vectors)
    collection.delete(ids=ids[:200])
    collection.upsert(ids=ids[:1000], embeddings=vectors[:1000])
    client.close()  # pyright: ignore[reportAttributeAccessIssue]  # the interface lacks it
    return directory


@pytest.fixture
def directory(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "copy"))


def segment(directory: Path) -> Path:
    return next(directory.glob("*/header.bin")).parent


def test_a_healthy_directory_passes_and_its_slots_are_counted(directory: Path):
    slots = inspect(directory)
    assert slots.live == 1200
    assert slots.used >= slots.live


def test_an_empty_directory_is_healthy(tmp_path: Path):
    assert inspect(tmp_path) == inspect(tmp_path / "missing") == Slots(0, 0)


def cut(name: str) -> Callable[[Path], object]:
    return lambda at: (at / name).write_bytes((at / name).read_bytes()[:-50])


def with_total(total: object) -> Callable[[Path], object]:
    def rewrite(at: Path) -> None:
        path = at / "index_metadata.pickle"
        content = pickle.loads(path.read_bytes())
        path.write_bytes(pickle.dumps({**content, "total_elements_added": total}))

    return rewrite


def large_links(at: Path) -> None:
    with (at / "link_lists.bin").open("r+b") as file:
        file.truncate(50_000_000)


TEARS: dict[str, Callable[[Path], object]] = {
    "header": cut("header.bin"),
    "lengths": cut("length.bin"),
    "vectors": cut("data_level0.bin"),
    "list cut off": cut("index_metadata.pickle"),
    "list missing": lambda at: (at / "index_metadata.pickle").unlink(),
    "list of another flush": with_total(7),
    "list of another form": with_total("many"),
    "list that names code": lambda at: (at / "index_metadata.pickle").write_bytes(
        b"cos\nmkdir\n(S'owned'\ntR."
    ),
    "links beyond measure": large_links,
    "lengths missing": lambda at: (at / "length.bin").unlink(),
}


@pytest.mark.parametrize("tear", TEARS)
def test_a_torn_index_is_detected(directory: Path, tear: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(directory)
    TEARS[tear](segment(directory))
    with pytest.raises(TornIndex):
        inspect(directory)
    assert not (directory / "owned").exists()
