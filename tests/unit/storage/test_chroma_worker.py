"""The vector worker's calls, in this process."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from allma_server.errors import VectorStoreDown
from allma_server.storage.vectors.config import VectorStoreConfig
from allma_server.storage.vectors.stores.chroma import ChromaStore
from allma_server.storage.vectors.stores.chroma_worker import Options, Worker, _guarded
from tests.ollama.wire import Exchange, serving


def test_a_call_interrupted_by_another_write_is_repeated(tmp_path: Path):
    def connection() -> sqlite3.Connection:
        return sqlite3.connect(tmp_path / "x.sqlite3", isolation_level=None)

    with contextlib.closing(connection()) as ours, contextlib.closing(connection()) as others:
        ours.execute("PRAGMA journal_mode = WAL")
        ours.execute("CREATE TABLE t (n)")
        calls: list[Any] = []

        def call(params: Any, blobs: list[bytes]) -> tuple[Any, tuple[()]]:
            calls.append(params)
            ours.execute("BEGIN")
            try:
                rows = ours.execute("SELECT count(*) FROM t").fetchone()
                if len(calls) == 1:
                    others.execute("INSERT INTO t VALUES (1)")
                ours.execute("INSERT INTO t VALUES (2)")
                return {"rows": rows[0] + 1}, ()
            finally:
                with contextlib.suppress(sqlite3.OperationalError):
                    ours.execute("COMMIT")

        worker = Worker(Options(tmp_path, "name", with_payload=False, url=None))
        assert _guarded(worker, call)({}, []) == ({"rows": 2}, ())
    assert len(calls) == 2


@pytest.mark.parametrize("key", ["secret-key", None])
async def test_the_api_key_is_sent_to_the_server(tmp_path: Path, key: str | None) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer({"error": "Unauthorized", "message": "who are you?"}, 401)

    async def read_key() -> str | None:
        return key

    async with serving(refuse) as wire, asyncio.TaskGroup() as tasks:
        config = VectorStoreConfig(tasks, tmp_path / "one", "one", url=wire.url, api_key=read_key)
        store = ChromaStore(config)
        try:
            with pytest.raises(VectorStoreDown) as failure:
                await store.open()
        finally:
            await store.close()
    assert key is None or key not in str(failure.value)
    expected = (f"Bearer {key}", key) if key else (None, None)
    names = ("authorization", "x-chroma-token")
    assert wire.seen
    for request in wire.seen:
        assert tuple(request.headers.get(name) for name in names) == expected
