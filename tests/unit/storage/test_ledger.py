"""The state of every file: published completely, updated, removed."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from allma_server._internal.tasks import background_tasks
from allma_server.errors import DocumentNotFound
from allma_server.storage.full_text.index import open_full_text
from allma_server.storage.full_text.store import WordStore
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.database import Database
from allma_server.storage.sqlite.full_text_outbox import FullTextOutbox
from allma_server.storage.sqlite.ledger import reuse_ids
from allma_server.storage.sqlite.outbox import Outbox
from allma_server.types import FileOutcome, Hit, Workspace
from tests.unit.storage.corpus import (
    EMBEDDER,
    chunk_ids,
    facts,
    parsed,
    publish,
    random_vector,
    search_text,
    vectors_for,
)

# A file name that is not UTF-8, as POSIX systems hand it over.
LATIN_1 = "/w/caf\udce9.txt"


@pytest.fixture
async def workspace(catalog: Catalog) -> Workspace:
    return await catalog.add_workspace("/w")


async def consistent(database: Database) -> bool:
    """Whether full-text search holds the chunks and nothing else."""
    outbox = FullTextOutbox(database)
    folder = database.path.parent / "full_text"
    async with background_tasks() as tasks, open_full_text(database, folder, tasks) as words:
        await words.search_text("word", 1)
    state = await outbox.state()
    assert state is not None and await outbox.size() == 0
    held = await asyncio.to_thread(_held, folder / state.name)
    return sorted(held) == [
        row["id"] for row in await database.rows("SELECT id FROM chunks ORDER BY id")
    ]


def _held(index: Path) -> list[int]:
    store = WordStore.open(index)
    return store.chunks_in(store.segments(), store.entries)


async def drained(database: Database) -> None:
    outbox = Outbox(database)
    await outbox.acknowledge(await outbox.pending_changes(EMBEDDER, 0, 10_000))


async def waiting(database: Database) -> set[int]:
    return set(await Outbox(database).pending_ids(10_000))


async def found(catalog: Catalog, query: str) -> list[str]:
    return [p.text for p in await catalog.passages(await search_text(catalog, query, 10))]


async def test_a_published_document_is_found_with_its_location(catalog: Catalog):
    document = await publish(catalog, "/w/src/a.txt", ["one walrus", "two seals"])
    assert document.state == "indexed" and document.chunks == 2
    assert document.metadata == {"author": "Ann"} and document.title == "Title"
    assert await catalog.document("/w/src/a.txt") == document
    assert await catalog.document_by_id(document.id) == document
    assert await catalog.documents(document.workspace_id) == [document]
    assert await found(catalog, "seals") == ["two seals"]


async def test_chunks_with_unchanged_text_keep_their_ids(catalog: Catalog, database: Database):
    texts = ["alpha", "beta", "gamma", "delta"]
    before = await chunk_ids(catalog, await publish(catalog, "/w/a.txt", texts))
    await drained(database)

    after = await chunk_ids(
        catalog, await publish(catalog, "/w/a.txt", ["alpha", "changed", "gamma", "delta"])
    )
    assert after == before
    assert await waiting(database) == {before[1]}
    assert await found(catalog, "beta") == []

    shorter = await chunk_ids(catalog, await publish(catalog, "/w/a.txt", ["alpha", "delta"]))
    assert shorter == [before[0], before[3]]
    longer = await chunk_ids(
        catalog, await publish(catalog, "/w/a.txt", ["alpha", "delta", "new 1", "new 2"])
    )
    assert longer[:2] == shorter and not set(longer[2:]) & set(before)
    assert await consistent(database)


async def test_publishing_is_idempotent(catalog: Catalog, database: Database):
    first = await publish(catalog, "/w/a.txt", ["alpha", "beta", "alpha"])
    await drained(database)
    again = await publish(catalog, "/w/a.txt", ["alpha", "beta", "alpha"])
    assert again.id == first.id
    assert await waiting(database) == set()
    assert await consistent(database)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("abc", "abc", [1, 2, 3]),
        ("abc", "xabc", [None, 1, 2, 3]),
        ("abc", "axc", [1, 2, 3]),
        ("abc", "cba", [3, 2, 1]),
        ("aab", "aaab", [1, 2, None, 3]),
        ("abc", "", []),
        ("", "ab", [None, None]),
        ("abcd", "xy", [1, 2]),
    ],
)
def test_ids_follow_their_texts(old: str, new: str, expected: Sequence[int | None]):
    known = {number: (number, text) for number, text in enumerate(old, 1)}
    assert reuse_ids(known, list(enumerate(new))) == expected


@pytest.mark.parametrize("steps", range(0, 60, 4))
async def test_an_interrupted_publication_leaves_the_old_or_the_new_version(
    catalog: Catalog, database: Database, workspace: Workspace, steps: int
):
    old, new = ["old one", "old two", "both"], ["both", "new one"]
    document = await publish(catalog, "/w/a.txt", old, workspace=workspace)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(publish(catalog, "/w/a.txt", new, workspace=workspace))
        for _ in range(steps):
            await asyncio.sleep(0.0001 if steps > 20 else 0)
        task.cancel()
    texts = [chunk.text for chunk in await catalog.chunks_of(document.id)]
    assert texts in (old, new)
    stored = await catalog.document("/w/a.txt")
    assert stored is not None and stored.chunks == len(texts)
    assert await found(catalog, "old") == [text for text in texts if "old" in text]
    assert await consistent(database)


async def test_a_file_that_failed_loses_its_chunks_and_keeps_its_row(
    catalog: Catalog, database: Database, workspace: Workspace
):
    document = await publish(catalog, "/w/a.pdf", ["a walrus"], workspace=workspace)
    await catalog.record(workspace, [FileOutcome(facts("/w/a.pdf"), "failed", "It is encrypted.")])
    failed = await catalog.document("/w/a.pdf")
    assert failed is not None and failed.id == document.id
    assert (failed.state, failed.reason, failed.chunks) == ("failed", "It is encrypted.", 0)
    assert await found(catalog, "walrus") == []
    recovered = await publish(catalog, "/w/a.pdf", ["a walrus"], workspace=workspace)
    assert (recovered.id, recovered.state, recovered.reason) == (document.id, "indexed", None)
    assert await consistent(database)


async def test_a_moved_document_keeps_its_chunks_and_is_found_by_its_new_name(
    catalog: Catalog, database: Database, workspace: Workspace
):
    document = await publish(catalog, "/w/walrus.txt", ["alpha"], workspace=workspace)
    ids = await chunk_ids(catalog, document)
    replaced = await publish(catalog, "/w/seal.txt", ["beta"], workspace=workspace)
    await catalog.move(document.id, workspace, facts("/w/seal.txt", mtime_ns=9))
    moved = await catalog.document("/w/seal.txt")
    assert moved is not None and (moved.id, moved.mtime_ns) == (document.id, 9)
    assert await chunk_ids(catalog, moved) == ids
    assert await found(catalog, "seal") == ["alpha"]
    assert await found(catalog, "walrus") == []
    assert await catalog.document_by_id(replaced.id) is None
    assert await consistent(database)
    with pytest.raises(DocumentNotFound):
        await catalog.move(999, workspace, facts("/w/x.txt"))


async def test_touching_a_document_changes_only_its_times(catalog: Catalog, database: Database):
    document = await publish(catalog, "/w/a.txt", ["alpha"])
    await drained(database)
    await catalog.touch(document.id, facts("/w/a.txt", mtime_ns=77))
    touched = await catalog.document("/w/a.txt")
    assert touched is not None and touched.mtime_ns == 77
    assert touched.indexed_at == document.indexed_at
    assert await waiting(database) == set()


async def test_a_removed_document_is_removed_from_every_table(catalog: Catalog, database: Database):
    document = await publish(catalog, "/w/a.txt", ["a walrus", "a seal"])
    other = await publish(catalog, "/w/b.txt", ["a walrus"])
    hits = await search_text(catalog, "walrus", 10)
    ids = await chunk_ids(catalog, document)
    await drained(database)
    await catalog.remove([document.id])
    await catalog.remove([])
    assert [p.document_id for p in await catalog.passages(hits)] == [other.id]
    assert await waiting(database) == set(ids)
    assert await catalog.chunk(ids[0]) is None
    assert await consistent(database)


@pytest.mark.invariant(4)
async def test_no_text_is_embedded_twice(catalog: Catalog, workspace: Workspace):
    content = parsed([f"text {i}" for i in range(1200)])
    vectors = vectors_for(content)
    await catalog.publish(workspace, facts("/w/a.txt"), "h", content, EMBEDDER, vectors)
    known = await catalog.cached_vectors(EMBEDDER, [*vectors, b"unknown"])
    assert known.keys() == vectors.keys()
    for text_hash, vector in known.items():
        assert np.abs(vector - vectors[text_hash]).max() < 1e-3
    assert await catalog.cached_vectors("other", list(vectors)) == {}


async def test_unused_vectors_are_deleted_after_the_retention_period(
    catalog: Catalog, database: Database, workspace: Workspace
):
    await publish(catalog, "/w/a.txt", ["kept", "dropped", "asked for"], workspace=workspace)
    hashes = {
        chunk.text: chunk.text_hash for chunk in parsed(["kept", "dropped", "asked for"]).chunks
    }
    await catalog.add_vectors("former", {hashes["kept"]: random_vector()})
    await publish(catalog, "/w/a.txt", ["kept"], workspace=workspace)
    assert await catalog.drop_unused_vectors([EMBEDDER], 0) is None
    assert len(await catalog.cached_vectors(EMBEDDER, hashes.values())) == 3
    async with database.transaction() as tx:
        await tx.execute("UPDATE embeddings SET used_on = '2020-01-01'")
    await catalog.cached_vectors(EMBEDDER, [hashes["asked for"]])
    assert await catalog.drop_unused_vectors([EMBEDDER], 0) is None
    assert await catalog.cached_vectors("former", hashes.values()) == {}
    left = await catalog.cached_vectors(EMBEDDER, hashes.values())
    assert left.keys() == {hashes["kept"], hashes["asked for"]}


async def test_the_retention_of_a_vector_begins_when_its_last_chunk_is_removed(
    catalog: Catalog, database: Database, workspace: Workspace
):
    await publish(catalog, "/w/a.txt", ["old branch"], workspace=workspace)
    async with database.transaction() as tx:
        await tx.execute("UPDATE embeddings SET used_on = '2020-01-01'")
    await publish(catalog, "/w/a.txt", ["new branch"], workspace=workspace)
    await catalog.drop_unused_vectors([EMBEDDER], 0)
    [chunk] = parsed(["old branch"]).chunks
    assert chunk.text_hash in await catalog.cached_vectors(EMBEDDER, [chunk.text_hash])


async def test_missing_vectors_are_found_in_one_pass(catalog: Catalog, workspace: Workspace):
    texts = [f"text {number}" for number in range(10)]
    await publish(catalog, "/w/a.txt", texts, workspace=workspace)
    assert await catalog.count_missing_vectors("other") == 10
    after, seen = 0, list[str]()
    while True:
        page, last = await catalog.missing_vectors("other", after, 3)
        if last is None:
            break
        seen += page.values()
        assert last > after
        after = last
    assert seen == texts, "none twice, though none has a vector yet"
    await catalog.keep_vectors(
        "other", {c.text_hash: random_vector() for c in parsed(texts).chunks}
    )
    assert await catalog.count_missing_vectors("other") == 0


async def test_a_chunk_without_a_vector_is_found_by_keywords(catalog: Catalog):
    await publish(catalog, "/w/a.txt", ["a walrus"], vectors={})
    assert await found(catalog, "walrus") == ["a walrus"]
    texts, _ = await catalog.missing_vectors(EMBEDDER, 0, 10)
    assert list(texts.values()) == ["a walrus"]


async def test_file_names_and_texts_that_are_not_unicode_are_kept(
    catalog: Catalog, workspace: Workspace
):
    document = await publish(catalog, LATIN_1, ["half a pair: \ud83d walrus"], workspace=workspace)
    assert document.path == LATIN_1
    assert await catalog.document(LATIN_1) == document
    assert (await catalog.documents(workspace.id))[0].path == LATIN_1
    [passage] = await catalog.passages(await search_text(catalog, "walrus", 1))
    assert passage.path == LATIN_1 and passage.uri == "file:///w/caf%E9.txt#L1-L1"
    assert passage.text == "half a pair: \ufffd walrus"
    page = await catalog.document_page([], None, None, 10)
    assert page.documents[0].path == LATIN_1


@pytest.mark.invariant(2)
async def test_hits_without_a_chunk_are_dropped_and_the_order_is_kept(catalog: Catalog):
    document = await publish(catalog, "/w/a.txt", ["a", "b", "c"])
    a, b, c = await chunk_ids(catalog, document)
    passages = await catalog.passages([Hit(c, 0.9), Hit(4711, 0.8), Hit(a, 0.7), Hit(b, 0.1)])
    assert [(p.text, p.score) for p in passages] == [("c", 0.9), ("a", 0.7), ("b", 0.1)]
    assert await catalog.facts(passages) == {document.id: (100, 1)}
    assert await catalog.passages([]) == []
