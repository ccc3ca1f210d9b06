"""Queries: filters, pages of documents, workspaces, full-text search."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from allma_server.errors import InvalidArgument
from allma_server.storage.path_terms import path_terms
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.database import Database
from allma_server.storage.sqlite.passages import joined, lines_of
from allma_server.types import Chunk, FileOutcome, Hit, Parsed, TermFilter, Terms
from tests.unit.storage.corpus import (
    EMBEDDER,
    chunk_ids,
    facts,
    parsed,
    publish,
    search_text,
    vectors_for,
)

FILES = {
    "/w/a.py": "python",
    "/w/src/b.py": "python",
    "/w/src/deep/c.py": "python",
    "/w/src/notes.md": "markdown",
    "/w/docs/guide.md": "markdown",
    "/other/docs/guide.md": "markdown",
    "/other/!odd.txt": "text",
}


@pytest.fixture
async def names(catalog: Catalog) -> dict[int, str]:
    """Paths by document id, of `FILES`."""
    paths: dict[int, str] = {}
    for path, format in FILES.items():
        workspace = await catalog.add_workspace("/w" if path.startswith("/w") else "/other")
        document = await publish(catalog, path, [path], workspace=workspace, format=format)
        paths[document.id] = path
    return paths


def accepts(condition: TermFilter, terms: Terms) -> bool:
    """Whether a document with these terms fulfils the condition, as an index would say."""
    if condition.any_of and not any(each <= terms for each in condition.any_of):
        return False
    return not any(each <= terms for each in condition.none_of)


@pytest.mark.parametrize(
    ("workspace", "glob", "formats", "expected"),
    [
        (None, None, None, list(FILES)),
        ("/w", None, None, list(FILES)[:5]),
        ("/w/src", None, None, ["/w/src/b.py", "/w/src/deep/c.py", "/w/src/notes.md"]),
        ("/w/a.py", None, None, ["/w/a.py"]),
        ("/nowhere", None, None, []),
        (None, "*.py", None, ["/w/a.py", "/w/src/b.py", "/w/src/deep/c.py"]),
        (None, "src/*.py", None, ["/w/src/b.py"]),
        (None, "w/src/*.py", None, ["/w/src/b.py"]),
        (None, "other/**", None, ["/other/docs/guide.md", "/other/!odd.txt"]),
        (None, "src/**/*.py", None, ["/w/src/b.py", "/w/src/deep/c.py"]),
        (None, "src", None, ["/w/src/b.py", "/w/src/deep/c.py", "/w/src/notes.md"]),
        (None, "guide.md", None, ["/w/docs/guide.md", "/other/docs/guide.md"]),
        (None, "/docs/guide.md", None, ["/w/docs/guide.md", "/other/docs/guide.md"]),
        ("/other", "docs/", None, ["/other/docs/guide.md"]),
        (None, "/w/src/*.md", None, ["/w/src/notes.md"]),
        (None, "\\!odd.txt", None, ["/other/!odd.txt"]),
        (None, "!*.py", None, [p for p in FILES if not p.endswith(".py")]),
        (None, "!{src,docs}/", None, [p for p in FILES if "/src/" not in p and "/docs/" not in p]),
        (None, "*.{py,txt}", None, [p for p in FILES if p.endswith((".py", ".txt"))]),
        (None, "{src,docs}/**/*.{py, md}", None, [p for p in FILES if p.count("/") > 2]),
        (None, "*.py, *.txt", None, [p for p in FILES if p.endswith((".py", ".txt"))]),
        (None, "./src/*.py", None, ["/w/src/b.py"]),
        (None, "src\\deep\\*.py", None, ["/w/src/deep/c.py"]),
        (None, ".", None, list(FILES)),
        (None, "**", None, list(FILES)),
        (None, "*.{py", None, []),
        (None, "/w/{src,docs}/*.md", None, ["/w/src/notes.md", "/w/docs/guide.md"]),
        (None, "  ", None, list(FILES)),
        (None, None, {"markdown"}, [p for p in FILES if p.endswith(".md")]),
        ("/w", "src/", {"markdown"}, ["/w/src/notes.md"]),
        (None, None, set[str](), []),
        ("/w", "!src/**", None, ["/w/a.py", "/w/docs/guide.md"]),
        (None, "src/**, !src/deep/**", None, ["/w/src/b.py", "/w/src/notes.md"]),
        (None, "*.py,!a.py,!{b,d}.py", None, ["/w/src/deep/c.py"]),
        (None, "!*.py, *.md", None, [p for p in FILES if p.endswith(".md")]),
        (None, "!src/, !docs/", None, ["/w/a.py", "/other/!odd.txt"]),
    ],
)
async def test_documents_are_filtered_by_folder_glob_and_format(
    catalog: Catalog,
    names: dict[int, str],
    workspace: str | None,
    glob: str | None,
    formats: set[str] | None,
    expected: list[str],
):
    for _ in range(2):
        folders, globs = [workspace] if workspace else [], [glob] if glob else []
        found = await catalog.select_documents(folders, globs, formats)
        assert [names[i] for i in found.documents.tolist()] == expected
        assert (found.chunks, found.all_chunks) == (len(expected), len(FILES))
        assert list(itertools.chain.from_iterable(found.ranges())) == found.documents.tolist()
        for document_id, path in names.items():
            inside = path in expected
            assert found.contains(np.array([document_id, 999])).tolist() == [inside, False]
            terms = path_terms(path, FILES[path])
            accepted = all(accepts(each, terms) for each in found.filters)
            # An index that filters by terms finds at least what is in the set.
            assert accepted if inside else not (accepted and found.complete)


async def test_a_filter_includes_documents_added_after_its_first_use(
    catalog: Catalog, names: dict[int, str]
):
    async def found() -> list[int]:
        return (await catalog.select_documents([], ["*.py"])).documents.tolist()

    before = await found()
    new = await publish(catalog, "/w/new.py", ["x"], format="python")
    assert await found() == [*before, new.id]
    await catalog.remove([new.id])
    assert await found() == before


async def test_filters_that_were_used_follow_every_kind_of_change(
    catalog: Catalog, database: Database, names: dict[int, str]
):
    filters: list[tuple[list[str], list[str], list[str] | None]] = [
        ([], ["*.py"], None),
        (["/w"], [], None),
        (["/w/src", "/other"], ["!docs/"], None),
        ([], ["src/**"], ["python"]),
        (["/w/moved.py"], [], None),
    ]

    async def check() -> None:
        anew = Catalog(database)  # reads all documents, and compares each
        for folders, globs, formats in filters:
            followed = await catalog.select_documents(folders, globs, formats)
            read = await anew.select_documents(folders, globs, formats)
            assert followed.documents.tolist() == read.documents.tolist()
            assert (followed.chunks, followed.all_chunks) == (read.chunks, read.all_chunks)

    await check()
    [w, other] = sorted(await catalog.workspaces(), key=lambda each: each.path, reverse=True)
    by_path = {path: document_id for document_id, path in names.items()}
    await publish(catalog, "/w/src/b.py", ["one", "two", "three"], format="python", workspace=w)
    await check()
    await catalog.record(w, [FileOutcome(facts("/w/a.py"), "skipped", "It is not text.")])
    await check()
    await publish(catalog, "/w/a.py", ["back"], format="python", workspace=w)
    await check()
    await catalog.move(by_path["/w/src/deep/c.py"], w, facts("/w/moved.py"))
    await check()
    await catalog.erase_documents([by_path["/w/docs/guide.md"]])
    await check()
    await catalog.remove_workspace(other.id)
    await check()
    inner = await catalog.add_workspace("/v/src")
    await publish(catalog, "/v/src/x.py", ["x"], format="python", workspace=inner)
    await check()
    await catalog.add_workspace("/v")
    await check()


async def test_a_wrong_glob_is_an_error_and_not_an_empty_set(
    catalog: Catalog, names: dict[int, str]
):
    many = "{a,b}" * 10
    for glob in (many, f"*.py, !{many}"):
        with pytest.raises(InvalidArgument, match="is not valid"):
            await catalog.select_documents([], [glob])
    assert len(await catalog.select_documents([], ["*.py"])) == 3


async def test_the_document_list_is_paged_and_filtered(catalog: Catalog, names: dict[int, str]):
    workspace = await catalog.add_workspace("/w")
    await catalog.record(workspace, [FileOutcome(facts("/w/x.bin"), "skipped", "It is not text.")])
    seen: list[str] = []
    cursor = None
    while True:
        page = await catalog.document_page([], None, cursor, 3)
        assert page.total == 8
        seen += [row.path for row in page.documents]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == sorted([*FILES, "/w/x.bin"])
    [skipped] = (await catalog.document_page(["/w"], "skipped", None, 3)).documents
    assert (skipped.path, skipped.reason) == ("/w/x.bin", "It is not text.")
    assert skipped.workspace == "/w" and skipped.uri == "file:///w/x.bin"
    assert (await catalog.document_page(["/w"], "failed", None, 3)).documents == []


async def test_a_folder_inside_a_workspace_belongs_to_it(catalog: Catalog):
    outer = await catalog.add_workspace("/w")
    assert await catalog.add_workspace("/w/src") == outer
    assert await catalog.add_workspace("/w") == outer
    assert (await catalog.add_workspace("/walrus")).path == "/walrus"
    assert [w.path for w in await catalog.workspaces()] == ["/w", "/walrus"]


async def test_a_parent_workspace_takes_over_its_folders_documents(catalog: Catalog):
    inner = await catalog.add_workspace("/w/src")
    document = await publish(catalog, "/w/src/a.txt", ["a walrus"], workspace=inner)
    ids = await chunk_ids(catalog, document)
    outer = await catalog.add_workspace("/w")
    assert await catalog.workspaces() == [outer]
    [moved] = await catalog.documents(outer.id)
    assert replace(moved, workspace_id=inner.id) == document
    assert await chunk_ids(catalog, moved) == ids
    [passage] = await catalog.passages(await search_text(catalog, "walrus", 1))
    assert passage.workspace == "/w"


async def test_removing_a_workspace_removes_its_documents(catalog: Catalog, names: dict[int, str]):
    workspace = next(each for each in await catalog.workspaces() if each.path == "/w")
    await catalog.remove_workspace(workspace.id)
    [left] = await catalog.workspace_counts()
    assert (left.workspace.path, left.documents, left.chunks) == ("/other", 2, 2)
    assert await search_text(catalog, "deep", 5) == []
    assert [d.path for d in await catalog.documents_inside("/other/docs")] == [
        "/other/docs/guide.md"
    ]


async def test_workspaces_are_counted(catalog: Catalog, names: dict[int, str]):
    workspace = await catalog.add_workspace("/w")
    await catalog.record(
        workspace,
        [
            FileOutcome(facts("/w/x"), "skipped", "empty"),
            FileOutcome(facts("/w/y"), "failed", "damaged"),
        ],
    )
    counts = {c.workspace.path: c for c in await catalog.workspace_counts()}
    assert (counts["/w"].documents, counts["/w"].skipped, counts["/w"].failed) == (5, 1, 1)


# --- full-text search -------------------------------------------------------------------------


async def found(catalog: Catalog, query: str, folders: Sequence[str] = ()) -> list[str]:
    documents = await catalog.select_documents(folders) if folders else None
    hits = await search_text(catalog, query, 10, documents)
    assert hits == sorted(hits, key=lambda hit: -hit.score)
    return [p.text for p in await catalog.passages(hits)]


async def test_chunks_are_found_by_text_name_and_heading(catalog: Catalog):
    await publish(catalog, "/w/billing/invoices.md", ["the total is due"])
    workspace = await catalog.add_workspace("/w")
    headed = parsed(["it goes by ship"], context="Delivery of goods")
    await catalog.publish(workspace, facts("/w/b.md"), "h", headed, "e", vectors_for(headed))
    assert await found(catalog, "invoices") == ["the total is due"]
    assert await found(catalog, "billing total") == ["the total is due"]
    assert await found(catalog, "delivery") == ["it goes by ship"]


@pytest.mark.parametrize(
    "query",
    ["", "   ", "?!", '"', '""', "AND OR NOT", "c++", "a*b", "name:x", "(", "NEAR(a b)", "-"],
)
async def test_no_query_is_a_syntax_error(catalog: Catalog, query: str):
    await publish(catalog, "/w/a.txt", ["int main in c++ and more"])
    await search_text(catalog, query, 5)
    await search_text(catalog, query, 5, await catalog.select_documents(["/w"]))


async def test_a_rare_term_outweighs_frequent_ones_and_a_query_of_frequent_ones_finds_something(
    catalog: Catalog,
):
    texts = [f"common words number {i}" for i in range(400)]
    await publish(catalog, "/w/a.txt", [*texts, "common words and a walrus"])
    assert (await found(catalog, "common words walrus"))[0] == "common words and a walrus"
    assert len(await found(catalog, "common words")) == 10


async def test_a_phrase_in_quotes_ranks_its_words_in_that_order_first(catalog: Catalog):
    await publish(catalog, "/w/a.txt", ["left hand and right foot", "right hand and left foot"])
    assert (await found(catalog, '"right foot"'))[0] == "left hand and right foot"
    assert (await found(catalog, '"left foot"'))[0] == "right hand and left foot"


async def test_words_are_searched_only_in_the_given_documents(catalog: Catalog):
    await publish(catalog, "/w/a.txt", ["walrus one"])
    await publish(catalog, "/w/b.txt", ["walrus two"])
    assert await found(catalog, "walrus", ["/w/b.txt"]) == ["walrus two"]
    assert len(await found(catalog, "walrus", ["/w"])) == 2
    assert await found(catalog, "walrus", ["/nowhere"]) == []


# --- chunks and their surroundings ------------------------------------------------------------


async def test_a_chunk_is_read_by_its_id(catalog: Catalog):
    document = await publish(catalog, "/w/a.txt", list("abcdef"))
    ids = await chunk_ids(catalog, document)
    chunk = await catalog.chunk(ids[4])
    assert chunk is not None and chunk.text == "e"


async def test_adjacent_passages_are_joined_with_the_lines_of_both(catalog: Catalog):
    ids = await chunk_ids(catalog, await publish(catalog, "/w/a.txt", ["one", "two", "three"]))
    [first, second] = await catalog.passages([Hit(ids[0], 1.0), Hit(ids[1], 2.0)])
    both = await catalog.joined(second, first)
    assert (both.text, both.start_line, both.end_line) == ("one\ntwo", 1, 2)
    assert (both.chunk_id, both.score) == (ids[1], 2.0)
    assert both.uri.endswith("/w/a.txt#L1-L2")


async def test_joined_tables_have_one_header_and_overlaps_appear_once(catalog: Catalog):
    header = "name,port\n"
    chunks = (
        Chunk(0, f"{header}a,1", 0, 13, 1, 2, heading=("Ports", "A")),
        Chunk(1, f"{header}b,2\nc,3", 14, 21, 3, 4, heading=("Ports", "B")),
        Chunk(2, f"{header}c,3\nd,4", 18, 25, 4, 5, heading=("Ports", "C")),
    )
    document = Parsed("csv", "T", {}, chunks)
    workspace = await catalog.add_workspace("/w")
    published = await catalog.publish(
        workspace, facts("/w/t.csv"), "hash", document, EMBEDDER, vectors_for(document)
    )
    ids = await chunk_ids(catalog, published)
    [second, third] = await catalog.passages([Hit(ids[1], 1.0), Hit(ids[2], 1.0)])
    both = await catalog.joined(second, third)
    assert both.text == f"{header}b,2\nc,3\nd,4"
    assert (both.start_line, both.end_line, both.heading) == (3, 5, ["Ports"])


async def test_a_passage_without_its_neighbour_is_unchanged(catalog: Catalog):
    ids = await chunk_ids(catalog, await publish(catalog, "/w/a.txt", ["one", "two"]))
    [first, second] = await catalog.passages([Hit(ids[0], 1.0), Hit(ids[1], 2.0)])
    gone = replace(second, chunk_id=10_000)
    assert await catalog.joined(first, gone) == first


def test_overlapping_chunks_rebuild_their_original_text():
    text = "one\ntwo\nthree\n\n\nfour\nfive"
    chunks = [
        Chunk(0, text[0:7], 0, 7, 1, 2),
        Chunk(1, text[4:13], 4, 13, 2, 3),
        Chunk(2, "| header |\n" + text[16:], 16, len(text), 6, 7),
    ]
    assert joined(chunks) == text
    assert joined([]) == ""


def test_lines_of_chunks_follow_the_file_s_line_numbers():
    text = "Head\n\none\n\ntwo\n\nthree"
    chunks = [
        Chunk(0, text[0:9], 0, 9, 40, 41),
        Chunk(1, text[11:14], 11, 14, 600, 600),
        Chunk(2, text[16:], 16, len(text), 600, 600),
    ]
    assert joined(chunks) == text
    assert lines_of(chunks) == [40, 41, 41, 599, 600, 600, 600]
    exact = [Chunk(0, "a\nb", 0, 3, 5, 6), Chunk(1, "c", 5, 6, 8, 8)]
    assert (joined(exact), lines_of(exact)) == ("a\nb\n\nc", [5, 6, 7, 8])
    assert lines_of([]) == []


def test_words_are_not_joined_where_a_line_was_split():
    chunks = [Chunk(0, "one two", 0, 7, 1, 1), Chunk(1, "three", 8, 13, 1, 1)]
    assert joined(chunks) == "one two three"


async def test_a_page_is_part_of_the_uri(catalog: Catalog):
    workspace = await catalog.add_workspace("/w")
    content = parsed(["text on a page"], "pdf")
    content = replace(content, chunks=(replace(content.chunks[0], page=3, heading=("A", "B")),))
    await catalog.publish(workspace, facts("/w/a.pdf"), "h", content, "e", vectors_for(content))
    [passage] = await catalog.passages(await search_text(catalog, "page", 1))
    assert passage.uri == "file:///w/a.pdf#page=3"
    assert (passage.page, passage.heading) == (3, ["A", "B"])


@pytest.mark.parametrize("cursor", ["3", "/elsewhere/a.txt", "nonsense", "/w"])
async def test_a_cursor_that_is_none_of_these_documents_is_refused(
    catalog: Catalog, cursor: str
) -> None:
    workspace = await catalog.add_workspace("/w/src")
    await publish(catalog, "/w/src/a.txt", ["a walrus"], workspace=workspace)
    with pytest.raises(InvalidArgument, match="is not a cursor of these documents"):
        await catalog.document_page([], None, cursor, 3)
    assert (await catalog.document_page([], None, "/w/src/0.txt", 3)).documents


async def test_a_cursor_beyond_all_numbers_is_refused(catalog: Catalog) -> None:
    with pytest.raises(InvalidArgument, match="is not a cursor"):
        await catalog.conversation_page(None, "9" * 40, 2)
