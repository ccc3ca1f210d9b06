"""The contract of full-text search, with its index and without."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from itertools import product
from pathlib import Path

import pytest

from allma_server._internal.tasks import background_tasks
from allma_server.storage.full_text.index import FullText, open_full_text
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.database import Database, open_database
from allma_server.types import DocumentSet
from tests.unit.storage.corpus import facts, parsed, publish, vectors_for


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "allma.sqlite3") as opened:
        yield opened


@pytest.fixture
def catalog(database: Database) -> Catalog:
    return Catalog(database)


@contextlib.asynccontextmanager
async def opened(database: Database, folder: Path) -> AsyncGenerator[FullText]:
    async with background_tasks() as tasks, open_full_text(database, folder, tasks) as words:
        yield words


@pytest.fixture(params=["index", "pending", "scan"])
async def words(
    request: pytest.FixtureRequest,
    database: Database,
    catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[FullText]:
    """Full-text search; `scan`: its folder cannot be made, because there is a file.

    `pending`: changes are never written to an index that holds other texts.
    """
    folder = tmp_path / "full_text"
    if request.param == "scan":
        folder.write_text("in the way")
    async with opened(database, folder) as words:
        if request.param == "pending":
            others = ["zz" + "".join(letters) for letters in product("qxj", repeat=5)]
            await publish(catalog, "/other/zz.md", others)
            await words.check()
            monkeypatch.setattr("allma_server.storage.full_text.indexer.PAUSE_SECONDS", 3600.0)
        yield words


async def found(
    words: FullText, catalog: Catalog, query: str, documents: DocumentSet | None = None
) -> list[str]:
    hits = (await words.search_text(query, 10, documents)).hits
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    return [passage.text for passage in await catalog.passages(hits)]


async def test_the_passage_with_more_and_rarer_words_is_first(words: FullText, catalog: Catalog):
    texts = ["common words here", "common words there", "common words and a walrus"]
    await publish(catalog, "/w/a.txt", [*texts, "nothing of it"])
    assert (await found(words, catalog, "common walrus"))[0] == "common words and a walrus"
    assert len(await found(words, catalog, "common")) == 3


async def test_saved_text_is_found_at_once_and_its_former_text_no_longer(
    words: FullText, catalog: Catalog
):
    for number in range(5):
        await publish(catalog, "/w/a.txt", [f"walrus{number} swims", "another passage"])
        assert await found(words, catalog, f"walrus{number}") == [f"walrus{number} swims"]
        assert await found(words, catalog, f"walrus{number - 1}") in ([], [f"walrus{number} swims"])


async def test_a_moved_document_is_found_by_its_new_name_and_folder(
    words: FullText, catalog: Catalog
):
    workspace = await catalog.add_workspace("/w")
    document = await publish(catalog, "/w/old/ledger.md", ["the total is due"])
    await publish(catalog, "/w/old/other.md", ["something else"])
    assert (await found(words, catalog, "ledger.md"))[0] == "the total is due"
    await catalog.move(document.id, workspace, facts("/w/new/invoice.md"))
    assert (await found(words, catalog, "invoice.md"))[0] == "the total is due"
    assert await found(words, catalog, "ledger") == []
    there = await catalog.select_documents(["/w/new"])
    assert await found(words, catalog, "total", there) == ["the total is due"]
    former = await catalog.select_documents(["/w/old"])
    assert await found(words, catalog, "total", former) == []


async def test_a_removed_document_is_not_found(words: FullText, catalog: Catalog):
    document = await publish(catalog, "/w/a.txt", ["one walrus"])
    assert await found(words, catalog, "walrus") == ["one walrus"]
    await catalog.remove([document.id])
    assert await found(words, catalog, "walrus") == []


async def test_words_in_quotes_score_as_a_phrase(words: FullText, catalog: Catalog):
    await publish(catalog, "/w/a.txt", ["left hand and right foot", "right hand and left foot"])
    assert (await found(words, catalog, '"right foot"'))[0] == "left hand and right foot"
    assert (await found(words, catalog, '"left foot"'))[0] == "right hand and left foot"


async def test_a_word_with_a_star_finds_the_words_that_begin_like_it(
    words: FullText, catalog: Catalog
):
    await publish(catalog, "/w/a.py", ["def getUserName(): pass", "configuration = {}", "a user"])
    assert (await found(words, catalog, "getUser*"))[0] == "def getUserName(): pass"
    assert await found(words, catalog, "conf*") == ["configuration = {}"]


async def test_a_search_is_narrowed_by_folder_glob_and_format(words: FullText, catalog: Catalog):
    for path, format in (
        ("/w/src/a.py", "python"),
        ("/w/src/deep/b.py", "python"),
        ("/w/docs/a.md", "markdown"),
        ("/w/docs/b.md", "markdown"),
    ):
        await publish(catalog, path, [f"walrus in {path}"], format=format)
    for folders, globs, formats, expected in (
        (["/w/src"], [], None, ["/w/src/a.py", "/w/src/deep/b.py"]),
        (["/w/src/deep", "/w/docs/a.md"], [], None, ["/w/docs/a.md", "/w/src/deep/b.py"]),
        ([], ["*.md"], None, ["/w/docs/a.md", "/w/docs/b.md"]),
        ([], ["src/**/b.*"], None, ["/w/src/deep/b.py"]),
        ([], ["!docs/**"], None, ["/w/src/a.py", "/w/src/deep/b.py"]),
        ([], ["a.*", "!*.md"], None, ["/w/src/a.py"]),
        (["/w/docs"], [], ["python"], []),
        ([], [], ["markdown"], ["/w/docs/a.md", "/w/docs/b.md"]),
    ):
        documents = await catalog.select_documents(folders, globs, formats)
        texts = await found(words, catalog, "walrus", documents)
        assert sorted(texts) == [f"walrus in {path}" for path in expected], (folders, globs)


async def test_headings_and_names_count_more_than_text(words: FullText, catalog: Catalog):
    await publish(catalog, "/w/walrus.md", ["it has long teeth and swims in the sea every day"])
    await publish(catalog, "/w/notes.md", ["a walrus has long teeth and swims in the sea"])
    assert (await found(words, catalog, "walrus"))[0].startswith("it has")
    headed = parsed(["it goes by ship"], context="Delivery of goods")
    workspace = await catalog.add_workspace("/w")
    await catalog.publish(workspace, facts("/w/b.md"), "h", headed, "e", vectors_for(headed))
    assert await found(words, catalog, "delivery") == ["it goes by ship"]


QUERIES = [
    "", " ", "x", "ß", "?!*()[]", '"', '"" “”', "AND OR NOT +a -b ~c", "text:walrus^2", "*:*", "\\",
    "a" * 5_000, "walrus " * 10_000, " ".join(f"word{n}" for n in range(10_000)),
    "walrus ロシア कुत्ता مرحبا שלום ไทย 🚀", "\ud800 walrus", "\x00", "wal* " * 500, '"a b" ' * 500,
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
async def test_any_text_is_a_query(words: FullText, catalog: Catalog, query: str):
    await publish(catalog, "/w/a.txt", ["a walrus and a whale"])
    async with asyncio.timeout(20):
        texts = await found(words, catalog, query)
        narrowed = await found(words, catalog, query, await catalog.select_documents(["/w"]))
    assert (
        texts == narrowed == (["a walrus and a whale"] if "wal" in query or "AND" in query else [])
    )


async def test_nothing_is_found_in_no_document_or_with_no_limit(words: FullText, catalog: Catalog):
    await publish(catalog, "/w/a.txt", ["a walrus"])
    assert (await words.search_text("walrus", 0)).hits == []
    none = await catalog.select_documents(["/elsewhere"])
    assert (await words.search_text("walrus", 5, none)).hits == []


# --- what only the index finds --------------------------------------------------------------


@pytest.fixture
async def index(database: Database, tmp_path: Path) -> AsyncIterator[FullText]:
    async with opened(database, tmp_path / "full_text") as words:
        yield words


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("select.py", "/w/src/search/select.py"),
        ("search/select", "/w/src/search/select.py"),
        ("where is src/search/fusion.py used", "/w/src/search/fusion.py"),
        (".gitignore", "/w/.gitignore"),
    ],
)
async def test_a_file_name_or_a_part_of_a_path_finds_the_file_first(
    index: FullText, catalog: Catalog, query: str, first: str
):
    names = ["src/search/select.py", "src/search/fusion.py", "src/select/search.py", ".gitignore"]
    for name in names:
        await publish(catalog, f"/w/{name}", [f"content of {name}"])
    await publish(catalog, "/w/notes.md", ["see select.py, src search fusion py, and gitignore"])
    [hit, *_] = (await index.search_text(query, 5)).hits
    [passage] = await catalog.passages([hit])
    assert passage.path == first


async def test_a_word_that_nothing_contains_finds_similar_words(index: FullText, catalog: Catalog):
    texts = ["we receive letters", "a configuration file", "the end"]
    await publish(catalog, "/w/a.txt", texts)
    for query, text in (("recieve", texts[0]), ("configuraton", texts[1])):
        result = await index.search_text(query, 5)
        [passage] = await catalog.passages(result.hits)
        assert passage.text == text and len(result.similar) == 1
    assert (await index.search_text("receive", 5)).similar == ()
    assert (await index.search_text("edn", 5)).hits == []


async def test_a_similar_word_scores_less_than_the_word_itself(index: FullText, catalog: Catalog):
    await publish(catalog, "/w/a.txt", ["we receive letters", "we send parcels"])
    [similar] = (await index.search_text("recieve", 5)).hits
    [same] = (await index.search_text("receive", 5)).hits
    assert similar.score < same.score


async def test_many_narrow_scopes_agree_with_a_search_of_everything(
    index: FullText, catalog: Catalog
):
    """Documents are chosen by places, by ids, and by more hits, depending on how many they are."""
    for number in range(60):
        kind = ("odd", "even")[number % 2 == 0]
        texts = [f"walrus {'walrus ' * (number % 7)} {kind} {part}" for part in range(3)]
        await publish(catalog, f"/w/{kind}/{number % 10}/{number}.{kind[:2]}", texts)
    everything = await index.search_text("walrus", 1_000)
    globs: Sequence[Sequence[str]] = (
        ["odd/"], ["*.ev"], ["*/3/*"], ["?.od"], ["!*.od"], ["even/**", "!even/4/**"], ["1*.*"],
    )  # fmt: skip
    for glob in globs:
        documents = await catalog.select_documents((), glob)
        wanted = set(documents.documents.tolist())
        passages = await catalog.passages(everything.hits)
        expected = {p.chunk_id: p.score for p in passages if p.document_id in wanted}
        for k in (5, 1_000):
            hits = (await index.search_text("walrus", k, documents)).hits
            assert len(hits) == min(k, len(expected)), glob
            best = sorted(expected.values(), reverse=True)[:k]
            assert [hit.score for hit in hits] == pytest.approx(best), glob
            assert all(hit.chunk_id in expected for hit in hits), glob
