"""Nothing outside a user's grants exists for them, whatever they call and whatever the protocol."""

import inspect
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.errors import (
    AllmaError,
    DiskFull,
    NotFound,
    PermissionDenied,
    as_dict,
)
from allma_server.indexing.granted import GrantedIngestion
from allma_server.indexing.ingestion import Ingestion
from allma_server.operations import BY_NAME, OPERATIONS, Call, NullProgress, jsonable
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.mcp import serve_mcp
from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.granted import GrantedCatalog
from allma_server.types import LOCAL, RIGHTS, Job, Principal
from tests.protocol.wire import Lines, connected, shell

pytestmark = [pytest.mark.invariant(20), pytest.mark.asyncio(loop_scope="module")]

SECRET = "the vault opens with a marmalade key"

# What a view need not narrow: it takes what another method found, or concerns no user's data, or
# belongs to operations that need the right `admin`.
NOT_NARROWED = {
    "facts", "first_chunks", "joined", "extracted_text", "grants", "similar_path",
    "get_setting", "set_setting",
    # Own conversations only, by `user`:
    "conversation", "conversation_with", "conversation_page", "whole_conversation_id",
    "rename_conversation",
    "delete_conversation", "begin_turn", "unstored_turn", "plan_turn", "replace_turn",
    "finish_turn", "summary", "save_summary",
    # Indexing, which `GrantedIngestion` lets in:
    "add_workspace", "remove_workspace", "index_fingerprint", "set_index_fingerprint",
    "workspace_disks", "set_workspace_disks", "publish", "record", "touch", "move", "remove",
    "note_refused", "cached_vectors", "missing_vectors", "count_missing_vectors", "keep_vectors",
    "add_vectors", "texts_without_vector", "share_embedders", "drop_unused_vectors", "dimensions",
    "erase_documents", "erase_quotes", "note_switch",
    "recognised_pages", "add_recognised_page", "drop_failed_pages", "scanned_documents",
    "mask_quotes", "unused_vectors", "erase_unused_vectors", "empty_log", "save_job", "job", "jobs",
    "unfinished_jobs", "check_writable", "write_error", "delete_backups",
    # Administrators:
    "damage", "quick_damage", "contradictions", "damage_behind", "drop_orphans",
    "mark_incomplete", "export", "add_token", "tokens", "revoke_token", "add_code", "is_code",
    "begin_visit", "end_visit", "credential",
    # Of passages, candidates or documents that are narrowed:
    "passages", "shown", "chunk_ids",
}  # fmt: skip

INGESTION_NOT_NARROWED = {
    # About workspaces that the caller has already found:
    "progress", "is_indexing", "is_updating", "failure_reason", "unavailable", "pending",
    "missing_vectors_reason", "backfill_problem", "is_busy", "is_watching", "watch_problem",
    "wait_until_embedded", "wait_until_recognised", "pages_to_recognise", "wait_until_erased",
    "exclusive", "pause_embedding",
    "start_monitoring", "mark_dirty", "look",
}  # fmt: skip


def public(kind: type[object]) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("whole", "view", "others"),
    [
        (Catalog, GrantedCatalog, NOT_NARROWED | {"user"}),
        (Ingestion, GrantedIngestion, INGESTION_NOT_NARROWED),
    ],
)
async def test_a_view_narrows_everything_that_is_not_named_here(
    whole: type[object], view: type[object], others: set[str]
) -> None:
    narrowed = {name for name in vars(view) if not name.startswith("_")}
    assert public(whole) == {name for name in narrowed | others if hasattr(whole, name)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("grants")
    texts = {"ours": "The harbour is open in summer.", "theirs": f"Remember: {SECRET}."}
    for name, text in texts.items():
        (root / name).mkdir()
        (root / name / f"{name}.md").write_text(f"# Notes\n\n{text}\n")
    return {name: root / name for name in texts}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(
    tmp_path_factory: pytest.TempPathFactory, folders: dict[str, Path]
) -> AsyncGenerator[Engine]:
    config = Config(
        data_dir=tmp_path_factory.mktemp("data"),
        embedder="hashing/words-256",
        chat_provider="scripted",
        chat_model="echo",
    )
    async with open_engine(config) as opened:
        for folder in folders.values():
            await BY_NAME["ingest"](Call(opened, LOCAL), {"paths": [str(folder)]})
        yield opened


@pytest.fixture
def ann(folders: dict[str, Path]) -> Principal:
    return Principal("ann", RIGHTS["write"], user="ann", workspaces=(str(folders["ours"]),))


@pytest.fixture
def provider(engine: Engine) -> EngineProvider:
    async def ready() -> Engine:
        return engine

    return ready


async def run(engine: Engine, principal: Principal, name: str, **arguments: Any) -> Any:
    return await BY_NAME[name](Call(engine, principal), arguments)


async def test_no_operation_returns_anything_of_another_workspace(
    engine: Engine, folders: dict[str, Path], ann: Principal
) -> None:
    theirs = folders["theirs"]
    known = (await run(engine, LOCAL, "documents")).documents
    [document] = [each for each in known if each.workspace == str(theirs)]
    [passage] = (await run(engine, LOCAL, "search", query="marmalade", top_k=1)).passages
    asked = await run(engine, LOCAL, "ask", question="What is the key?")
    tried: dict[str, list[dict[str, Any]]] = {
        "search": [{"query": "marmalade key vault"}, {"query": "key", "workspace": "all"},
                   {"query": "key", "workspace": str(theirs)}, {"query": "key", "path": "theirs*"},
                   {"query": "theirs.md"}],
        "explain": [{"query": "marmalade key vault", "workspace": "all"}],
        "ask": [{"question": "Which marmalade key opens the vault?"},
                {"question": "key", "workspace": "all"},
                {"question": "key", "conversation_id": asked.conversation_id},
                {"question": "key", "replaces": asked.message_id}],
        "read": [{"source": document.path}, {"source": str(passage.chunk_id)},
                 {"source": f"allma://document/{document.id}"},
                 {"source": f"{folders['ours']}/../theirs/theirs.md"}],
        "documents": [{}, {"workspace": str(theirs)}, {"cursor": document.path}],
        "status": [{}],
        "ingest": [{"paths": [str(theirs)]}, {"paths": [str(theirs.parent)]}, {"paths": ["/etc"]}],
        "sync": [{"path": str(theirs)}],
        "forget": [{"path": str(theirs)}, {"path": document.path}, {"path": str(theirs.parent)}],
        "conversations.list": [{}, {"query": "key"}],
        "conversations.show": [{"id": asked.conversation_id}],
        "conversations.export": [{"id": asked.conversation_id}],
        "conversations.rename": [{"id": asked.conversation_id, "title": "mine"}],
        "conversations.delete": [{"id": asked.conversation_id}],
    }  # fmt: skip
    for name, calls in tried.items():
        for arguments in calls:
            try:
                shown = json.dumps(jsonable(await run(engine, ann, name, **arguments)))
            except AllmaError as exc:
                shown = json.dumps(as_dict(exc))
                assert not isinstance(exc, PermissionDenied), name
            said = "".join(str(value) for value in arguments.values())
            assert "opens with" not in shown, (name, arguments)
            if str(theirs) not in said:
                assert str(theirs) not in shown, (name, arguments, shown)
    # Nothing was changed by any of them.
    assert (await run(engine, LOCAL, "read", source=document.path)).text
    assert (await run(engine, LOCAL, "conversations.show", id=asked.conversation_id)).messages


async def test_what_is_not_granted_fails_like_what_does_not_exist(
    engine: Engine, folders: dict[str, Path], ann: Principal
) -> None:
    theirs, missing = folders["theirs"], folders["theirs"].parent / "missing"
    for name, argument in (
        ("read", "source"), ("forget", "path"), ("sync", "path"), ("documents", "workspace"),
    ):  # fmt: skip
        found: list[str] = []
        for path in (theirs / "theirs.md", missing / "theirs.md"):
            with pytest.raises(NotFound) as refused:
                await run(engine, ann, name, **{argument: str(path)})
            found.append(json.dumps(as_dict(refused.value)).replace(str(path.parent), "DIR"))
        assert found[0] == found[1]


async def test_a_user_works_in_their_own_workspace(
    engine: Engine, folders: dict[str, Path], ann: Principal
) -> None:
    (folders["ours"] / "new.md").write_text("# New\n\nA lighthouse.\n")
    report = await run(engine, ann, "ingest", paths=[str(folders["ours"])])
    assert report.indexed == 1
    [passage, *_] = (await run(engine, ann, "search", query="lighthouse")).passages
    assert passage.path == str(folders["ours"] / "new.md")
    assert (await run(engine, ann, "read", source=passage.path)).text
    assert (await run(engine, ann, "forget", path=passage.path)).documents == 1
    assert [w.path for w in (await run(engine, ann, "status")).workspaces] == [str(folders["ours"])]
    asked = await run(engine, ann, "ask", question="When is the harbour open?")
    listed = (await run(engine, ann, "conversations.list")).conversations
    assert asked.conversation_id in {conversation.id for conversation in listed}
    bob = Principal("bob", RIGHTS["admin"], user="bob")
    with pytest.raises(NotFound):
        await run(engine, bob, "conversations.show", id=asked.conversation_id)
    assert (await run(engine, LOCAL, "conversations.show", id=asked.conversation_id)).messages


async def test_status_and_jobs_tell_a_user_nothing_of_others(
    engine: Engine, folders: dict[str, Path], ann: Principal
) -> None:
    bob = Principal("bob", RIGHTS["write"], user="bob")
    whole = await engine.ingestion.workspaces()
    jobs = [
        await Call(engine, who).engine.ingestion.run(part, NullProgress(), deadline=0)
        for who, part in ((LOCAL, whole), (bob, [w for w in whole if "ours" in w.path]))
    ]
    status = await run(engine, ann, "status")
    assert str(engine.config.data_dir) not in json.dumps(jsonable(status))
    counts = status.clients, status.pid, status.vectors.pending, status.full_text.pending
    assert set(counts) == {None}
    assert status.jobs == []
    ids = [job.id for job in jobs if isinstance(job, Job)]
    assert len(ids) == 2
    for id in ids:
        with pytest.raises(NotFound):
            await run(engine, ann, "status", job_id=id)
        with pytest.raises(NotFound):
            await run(engine, ann, "jobs.cancel", job_id=id)
    assert await run(engine, bob, "status", job_id=ids[1])


async def test_an_error_does_not_tell_a_user_where_the_index_is(
    engine: Engine, ann: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = engine.config.data_dir

    async def full(*_: object) -> None:
        raise DiskFull(f"No space is left in {where}.")

    monkeypatch.setattr(Catalog, "document_page", full)
    with pytest.raises(DiskFull, match="No space is left in the data directory"):
        await run(engine, ann, "documents")
    with pytest.raises(DiskFull, match=str(where)):
        await run(engine, LOCAL, "documents")


async def test_a_failed_job_does_not_tell_a_user_where_the_index_is(
    engine: Engine, folders: dict[str, Path]
) -> None:
    bob = Principal("bob", RIGHTS["write"], user="bob")
    ingestion = Call(engine, bob).engine.ingestion
    [ours] = [w for w in await engine.ingestion.workspaces() if "ours" in w.path]
    started = await ingestion.run([ours], NullProgress(), deadline=0)
    assert isinstance(started, Job)
    message = f"{engine.config.data_dir} cannot be read."
    await engine.catalog.save_job(replace(started, id="failed", state="failed", message=message))
    engine.ingestion.started_by["failed"] = bob.name
    assert (await run(engine, LOCAL, "status", job_id="failed")).message == message
    shown = await run(engine, bob, "status", job_id="failed")
    assert shown.message == "the data directory cannot be read."


async def test_a_grant_may_be_a_part_of_a_workspace(engine: Engine, tmp_path: Path) -> None:
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.md").write_text(f"# {name}\n\nA walrus is {name}.\n")
    await run(engine, LOCAL, "ingest", paths=[str(tmp_path)])
    part = str(tmp_path / "open")
    ann = Principal("ann", RIGHTS["write"], user="ann", workspaces=(part,))
    found = (await run(engine, ann, "search", query="walrus")).passages
    assert {(p.path, p.workspace) for p in found} == {(f"{part}/a.md", part)}
    [workspace] = (await run(engine, ann, "status")).workspaces
    assert (workspace.path, workspace.documents) == (part, 1)
    report = await run(engine, ann, "sync")
    assert report.removed == 0
    assert len((await run(engine, ann, "documents")).documents) == 1
    assert (await run(engine, LOCAL, "read", source=str(tmp_path / "closed" / "a.md"))).text


async def test_every_protocol_hides_what_is_not_granted(
    engine: Engine, provider: EngineProvider, folders: dict[str, Path], ann: Principal
) -> None:
    known = (await run(engine, LOCAL, "documents")).documents
    [theirs] = [each for each in known if each.workspace == str(folders["theirs"])]
    async with connected(partial(serve_mcp, provider, client=ClientContext(ann))) as (
        reader, writer, _,
    ):  # fmt: skip
        wire = Lines(reader, writer)
        await wire.initialize()
        uri = f"allma://document/{theirs.id}"
        prompt = {"type": "ref/prompt", "name": "summarize_document"}
        for answer in (
            await wire.tool("search", query="marmalade"),
            await wire.request("resources/list", {}),
            await wire.request("resources/read", {"uri": uri}),
            await wire.request("completion/complete",
                               {"ref": prompt, "argument": {"name": "path", "value": "theirs"}}),
        ):  # fmt: skip
            assert "theirs.md" not in json.dumps(answer)
    async with shell(provider, principal=ann) as client:
        found = await client.run("search", {"query": "marmalade key"})
        assert all(passage.workspace == str(folders["ours"]) for passage in found.passages)


async def test_a_reader_is_refused_every_change_of_the_index(engine: Engine) -> None:
    reader = Principal("reader", RIGHTS["read"], user="reader")
    for operation in OPERATIONS:
        conversations = operation.name.startswith(("conversations.", "ask"))
        if operation.writes and not conversations:
            with pytest.raises(PermissionDenied):
                await run(engine, reader, operation.name)
