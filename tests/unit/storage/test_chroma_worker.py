"""The vector worker's calls, in this process."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from allma_server.storage.vectors.stores.chroma_worker import Options, Worker, _guarded


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
