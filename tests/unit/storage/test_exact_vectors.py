"""Exact search over codes in a file: right answers, whatever happens to the file."""

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from allma_server.ports import Vector
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.database import Database, open_database
from allma_server.storage.sqlite.outbox import Outbox
from allma_server.storage.vectors.codes import best_places, encode
from allma_server.storage.vectors.exact_vectors import ExactVectors
from allma_server.types import DocumentSet, Hit
from tests.seeds import seeds
from tests.unit.storage.corpus import (
    DIMENSIONS,
    EMBEDDER,
    chunk_ids,
    parsed,
    publish,
    random_vector,
)

IDENTITY = f"index {EMBEDDER}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "vectors" / "codes.rows"


def exact_vectors(database: Database, file: Path, identity: str = IDENTITY) -> ExactVectors:
    return ExactVectors(Outbox(database), EMBEDDER, file, identity)


async def stored(catalog: Catalog) -> dict[int, tuple[int, Vector]]:
    """Document and vector of each chunk, as SQLite has them."""
    found = await catalog._db.rows(
        "SELECT c.id, c.document_id, e.vector FROM chunks c "
        "JOIN embeddings e ON e.text_hash = c.text_hash"
    )
    return {
        row["id"]: (row["document_id"], np.frombuffer(row["vector"], "<f2").astype(np.float32))
        for row in found
    }


async def check(
    catalog: Catalog, vectors: ExactVectors, documents: DocumentSet | None = None
) -> None:
    """Compare searches with all vectors in SQLite, one by one."""
    known = await stored(catalog)
    chosen = None if documents is None else set(documents.documents.tolist())
    for _ in range(5):
        query = random_vector()
        scores = {
            chunk: float(vector @ query)
            for chunk, (document, vector) in known.items()
            if chosen is None or document in chosen
        }
        expected = sorted(scores, key=lambda chunk: -scores[chunk])[:10]
        hits = await vectors.nearest(query, 10, documents)
        assert ids_of(hits) == expected
        assert [hit.score for hit in hits] == pytest.approx([scores[i] for i in expected], abs=1e-6)


def exists(file: Path) -> bool:
    return file.exists()


def status(file: Path) -> os.stat_result:
    return file.stat()


def ids_of(hits: Sequence[Hit]) -> list[int]:
    return [hit.chunk_id for hit in hits]


async def fill(catalog: Catalog, documents: int = 5, chunks: int = 30) -> None:
    for number in range(documents):
        folder = "src" if number % 2 else "docs"
        texts = [f"document {number} part {i}" for i in range(chunks)]
        vectors = {text_hash: random_vector() for text_hash in hashes(texts)}
        await publish(catalog, f"/w/{folder}/{number}.txt", texts, vectors=vectors)


def hashes(texts: Sequence[str]) -> list[bytes]:
    return [chunk.text_hash for chunk in parsed(texts).chunks]


async def test_search_follows_every_change_and_finds_the_same_in_another_process(
    catalog: Catalog, database: Database, file: Path
):
    vectors = exact_vectors(database, file)
    assert await vectors.nearest(random_vector(), 10) == []
    await fill(catalog)
    await check(catalog, vectors)
    for folders in (["/w/src"], ["/w/docs/2.txt"], ["/nowhere"], ["/w"]):
        await check(catalog, vectors, await catalog.select_documents(folders))
    await publish(catalog, "/w/src/1.txt", ["something new", "document 1 part 7"])
    await catalog.remove(
        [(await catalog.select_documents(["/w/docs/2.txt"])).documents.tolist()[0]]
    )
    await check(catalog, vectors)
    await check(catalog, vectors, await catalog.select_documents(["/w/src"]))
    await vectors.close()
    if os.name == "posix":
        assert stat.S_IMODE(status(file).st_mode) == 0o600
    again = exact_vectors(database, file)
    await check(catalog, again)
    await again.close()


@pytest.mark.parametrize("parallel_rows", [50, 100_000])
@pytest.mark.parametrize("every", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("span", [(0, 1000), (37, 420), (64, 128), (999, 1000)])
def test_rows_in_scope_are_compared_however_they_are_spread(
    monkeypatch: pytest.MonkeyPatch, every: int, span: tuple[int, int], parallel_rows: int
):
    monkeypatch.setattr("allma_server.storage.vectors.codes.BLOCK", 64)
    monkeypatch.setattr("allma_server.storage.vectors.codes.PARALLEL_ROWS", parallel_rows)
    vectors = np.stack([random_vector() for _ in range(1000)])
    rows = encode(np.arange(1, 1001), np.ones(1000, np.int64), vectors)
    live = np.arange(1000) % 11 > 0
    places = np.arange(*span, every)
    query = random_vector()
    wanted = [place for place in places.tolist() if live[place]]
    found = best_places(rows, live, query, len(places), places)
    assert sorted(place for place in found.tolist() if live[place]) == wanted
    # The codes of some more than are wanted always include these.
    nearest = sorted(wanted, key=lambda place: -float(vectors[place] @ query))[:10]
    assert set(nearest) <= set(best_places(rows, live, query, 20, places).tolist())
    if every == 1 and span == (0, 1000):
        assert set(nearest) <= set(best_places(rows, live, query, 20, None).tolist())


async def test_searches_at_once_and_saves_between_them_are_all_right(
    catalog: Catalog, database: Database, file: Path
):
    vectors = exact_vectors(database, file)
    await publish(catalog, "/w/a.txt", [f"passage {n}" for n in range(200)])

    async def save(number: int) -> None:
        document = await publish(catalog, "/w/b.txt", [f"version {number}", f"of {number}"])
        [first, *_] = await chunk_ids(catalog, document)
        saved = (await stored(catalog))[first][1]
        assert first in ids_of(await vectors.nearest(saved, 5))
        await vectors.update()

    async with asyncio.TaskGroup() as tasks:
        searches: list[asyncio.Task[list[Hit]]] = []
        for number in range(10):
            await save(number)
            searches += [tasks.create_task(vectors.nearest(random_vector(), 10)) for _ in range(4)]
    assert all(len(search.result()) == 10 for search in searches)
    await check(catalog, vectors)
    await vectors.close()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(place: int) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[place] ^= 0x41
        file.write_bytes(content)

    return change


DAMAGES: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "cut off": cut,
    "another file": lambda file: file.write_bytes(b"nonsense" * 5000),
    "header": flip(20),
    "a code": flip(4096 + 1000),
    "an id": flip(4096),
    "a row that was not written": lambda file: file.write_bytes(
        file.read_bytes()[: -24 - DIMENSIONS] + bytes(23) + b"\1" + bytes(DIMENSIONS)
    ),
}


@pytest.mark.invariant(1)
@pytest.mark.parametrize("kind", DAMAGES)
async def test_a_damaged_file_is_noticed_and_made_again_from_sqlite(
    catalog: Catalog, database: Database, file: Path, kind: str
):
    await fill(catalog)
    vectors = exact_vectors(database, file)
    await check(catalog, vectors)
    await vectors.close()
    DAMAGES[kind](file)
    for _ in range(2):
        vectors = exact_vectors(database, file)
        await check(catalog, vectors)
        assert await vectors.count() == 150
        await vectors.close()


async def test_a_file_of_another_database_embedder_or_later_state_is_not_used(
    catalog: Catalog, database: Database, file: Path, tmp_path: Path
):
    await fill(catalog)
    vectors = exact_vectors(database, file)
    await check(catalog, vectors)
    await vectors.close()
    for identity in ("another index", IDENTITY):
        vectors = exact_vectors(database, file, identity)
        await check(catalog, vectors)
        await vectors.close()
    async with open_database(tmp_path / "earlier.sqlite3") as earlier:
        before = Catalog(earlier)
        await publish(before, "/w/a.txt", ["it is all there is"])
        vectors = exact_vectors(earlier, file)
        await check(before, vectors)
        await vectors.close()


async def test_where_no_file_can_be_kept_search_is_as_right(
    catalog: Catalog, database: Database, tmp_path: Path
):
    await asyncio.to_thread((tmp_path / "blocked").write_text, "a file, not a folder")
    vectors = exact_vectors(database, tmp_path / "blocked" / "codes.rows")
    await fill(catalog)
    await check(catalog, vectors)
    await publish(catalog, "/w/src/1.txt", ["something new"])
    await vectors.update()
    await check(catalog, vectors)
    await vectors.close()


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
async def test_when_the_disk_is_full_search_goes_on_in_memory(
    catalog: Catalog, database: Database, file: Path
):
    import resource

    await fill(catalog)
    vectors = exact_vectors(database, file)
    await check(catalog, vectors)
    await vectors.update()
    await fill(catalog, 9)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # A write beyond the file's end fails as it does on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (status(file).st_size + 1000, before[1]))
    try:
        await check(catalog, vectors)
        await vectors.update()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not exists(file), "it would fall behind"
    await check(catalog, vectors)
    await vectors.close()
    again = exact_vectors(database, file)
    await check(catalog, again)
    await again.close()


async def test_what_was_deleted_is_overwritten_in_the_file(
    catalog: Catalog, database: Database, file: Path
):
    await fill(catalog)
    texts = [f"secret {i}" for i in range(20)]
    kept = {text_hash: random_vector() for text_hash in hashes(texts)}
    secret = await publish(catalog, "/w/secret.txt", texts, vectors=kept)
    vectors = exact_vectors(database, file)
    await vectors.nearest(random_vector(), 1)
    await vectors.update()
    ids = np.array(await chunk_ids(catalog, secret), np.int64)
    written = np.stack(list(kept.values())).astype("<f2")
    rows = encode(ids, np.full(20, secret.id), written)
    content = await asyncio.to_thread(file.read_bytes)
    assert all(codes.tobytes() in content for codes in rows["codes"])
    await catalog.erase_documents([secret.id])
    await vectors.update()
    content = await asyncio.to_thread(file.read_bytes)
    assert not any(codes.tobytes() in content for codes in rows["codes"])
    await check(catalog, vectors)
    await vectors.close()


@pytest.mark.parametrize("gone", [["/w/docs/0.txt", "/w/docs/2.txt"], ["/w/docs/4.txt", "/w/src"]])
async def test_the_file_shrinks_when_much_of_it_is_deleted(
    catalog: Catalog, database: Database, file: Path, gone: list[str]
):
    await fill(catalog, 6, 700)
    vectors = exact_vectors(database, file)
    await check(catalog, vectors)
    await vectors.update()
    before = status(file).st_size
    await catalog.remove((await catalog.select_documents(gone)).documents.tolist())
    await vectors.update()
    assert status(file).st_size < 0.7 * before
    await check(catalog, vectors)
    await publish(catalog, "/w/docs/new.txt", ["new", "and newer"])
    await vectors.close()
    again = exact_vectors(database, file)
    await check(catalog, again)
    await check(catalog, again, await catalog.select_documents(["/w/docs"]))
    await catalog.remove((await catalog.select_documents(["/w"])).documents.tolist())
    assert await again.nearest(random_vector(), 10) == []
    await again.update()
    await publish(catalog, "/w/a.txt", ["all that is left"])
    await check(catalog, again)
    await again.close()


async def test_a_store_that_is_filled_anew_does_not_hide_pending_changes(
    catalog: Catalog, database: Database, file: Path
):
    await fill(catalog)
    vectors = exact_vectors(database, file)
    await check(catalog, vectors)
    await publish(catalog, "/w/src/1.txt", ["something new"])
    await vectors.enqueue_all()
    assert await Outbox(database).size() == len(await stored(catalog))
    await check(catalog, vectors)
    await vectors.close()
    await publish(catalog, "/w/src/3.txt", ["also new"])
    vectors = exact_vectors(database, file)
    await vectors.enqueue_all()
    await check(catalog, vectors)
    await vectors.close()


_CHANGING = """
import asyncio, sys
from pathlib import Path
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.database import open_database
from allma_server.storage.sqlite.outbox import Outbox
from allma_server.storage.vectors.exact_vectors import ExactVectors
from tests.unit.storage.corpus import EMBEDDER, publish, random_vector

async def main() -> None:
    async with open_database(Path(sys.argv[1])) as database:
        catalog, outbox = Catalog(database), Outbox(database)
        vectors = ExactVectors(outbox, EMBEDDER, Path(sys.argv[2]), sys.argv[3])
        await vectors.nearest(random_vector(), 1)
        print("changing", flush=True)
        for number in range(100_000):
            texts = [f"run {number} part {i}" for i in range(number % 9)]
            await publish(catalog, f"/w/{number % 20}.txt", texts)
            changes = await outbox.pending_changes(EMBEDDER, 0, 100)
            await vectors.update()
            await outbox.acknowledge(changes)

asyncio.run(main())
"""


@pytest.mark.seeds
@pytest.mark.invariant(1)
async def test_a_process_that_is_killed_while_it_writes_loses_no_vector(tmp_path: Path, file: Path):
    path = tmp_path / "allma.sqlite3"
    file.parent.mkdir()
    for milliseconds in (10, 150, 450, 60, 300)[: len(seeds(3, 5))]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _CHANGING, str(path), str(file), IDENTITY),
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None and await process.stdout.readline()
        with contextlib.suppress(TimeoutError):  # killed wherever it is by then
            await asyncio.wait_for(process.wait(), milliseconds / 1000)
        process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
        await process.wait()
        copy = tmp_path / "copy"
        shutil.copytree(file.parent, copy, dirs_exist_ok=True)
        async with open_database(path) as database:
            vectors = exact_vectors(database, copy / file.name)
            await check(Catalog(database), vectors)
            assert await vectors.count() == len(await stored(Catalog(database)))
            await vectors.close()
        shutil.rmtree(copy)
