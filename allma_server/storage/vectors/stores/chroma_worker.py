"""The process that owns a Chroma collection; the only module that imports chromadb.

It runs in the collection's directory with a minimal environment, because chromadb reads settings
from both. `chroma.py` starts it and holds the other end of the pipe. chromadb takes over a second
to import; what works on its files alone does without it.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from allma_server._internal.child_server import Handler, Reply, serve
from allma_server.errors import DataDirectoryBusy, DiskFull, VectorStoreDown
from allma_server.storage.lock import own_data_directory
from allma_server.storage.vectors.stores import chroma_health

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api import ClientAPI

SPARE_BYTES = 500_000_000
"""Required free space on top of twice the index: a write on a full disk destroys the index."""

BUSY_PAUSE = 0.05
"""Seconds between two attempts to lock a directory that another worker still uses."""

LOCKED_SECONDS = 5.0
"""How long a call is retried while another program writes to Chroma's database."""

_CONFIGURATION: Any = {"hnsw": {"space": "cosine", "ef_search": 200}}


class Damaged(Exception):
    """The index is unusable and must be rebuilt."""


class Locked(Exception):
    """Another program is writing to Chroma's database."""


@dataclass(slots=True)
class Options:
    """What the parent passed on the command line."""

    directory: Path
    collection: str
    with_payload: bool
    url: str | None


class Worker:
    """Answers the parent's calls; `open` comes first."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._client: ClientAPI | None = None
        self._opened: Collection | None = None
        self._api_key: str | None = None
        self._changes: int | None = None

    def open(self, params: Any, blobs: list[bytes]) -> Reply:
        """Open the collection, and set after how many changes Chroma writes its index."""
        del blobs
        self._api_key = params["api_key"]
        if self._options.url is None and params["changes"] != self._changes:
            client: Any = self._client  # its type does not tell that it can be closed
            if client is not None:
                client.close()
                self._client = self._opened = None
            self._set_sync_threshold(params["changes"])
            self._changes = params["changes"]
        return {"rows": self._collection.count()}, ()

    def upsert(self, params: Any, blobs: list[bytes]) -> Reply:
        self._require_free_space()
        ids = [str(i) for i in params["ids"]]
        vectors = np.frombuffer(blobs[0], np.float32).reshape(len(ids), -1)
        payload: Any = {}
        if self._options.with_payload:
            payload = {"documents": params["documents"], "metadatas": params["metadatas"]}
        self._collection.upsert(ids=ids, embeddings=vectors, **payload)
        return {}, ()

    def delete(self, params: Any, blobs: list[bytes]) -> Reply:
        del blobs
        self._collection.delete(ids=[str(i) for i in params["ids"]])
        return {}, ()

    def query(self, params: Any, blobs: list[bytes]) -> Reply:
        vector = np.frombuffer(blobs[0], np.float32)
        found = self._collection.query(
            query_embeddings=[vector], n_results=params["k"], include=["distances"]
        )
        distances = found["distances"] or [[]]
        scores = (1.0 - np.array(distances[0], np.float64)).tolist()
        return {"ids": [int(i) for i in found["ids"][0]], "scores": scores}, ()

    def health(self, params: Any, blobs: list[bytes]) -> Reply:
        del params, blobs
        rows = self._collection.count()
        slots = chroma_health.Slots(rows, rows)
        if self._options.url is None:
            slots = self._slots()
        return {"rows": rows, "used": slots.used, "live": slots.live}, ()

    def flush(self, params: Any, blobs: list[bytes]) -> Reply:
        """Rewrite one row with its own values until Chroma writes all earlier changes too."""
        del params, blobs
        found: Any = self._collection.get(limit=1, include=["embeddings", "documents", "metadatas"])
        payload: Any = {}
        if self._options.with_payload:
            payload = {"documents": found["documents"], "metadatas": found["metadatas"]}
        for _ in range(2):
            self._collection.upsert(ids=found["ids"], embeddings=found["embeddings"], **payload)
        return {}, ()

    def scrub(self, params: Any, blobs: list[bytes]) -> Reply:
        """Overwrite what was deleted; this process has not opened the collection yet."""
        del params, blobs
        directory = self._options.directory
        try:
            chroma_health.overwrite_deleted(directory)
        except chroma_health.TornIndex as exc:
            raise Damaged(str(exc)) from exc
        with contextlib.closing(
            sqlite3.connect(directory / "chroma.sqlite3", isolation_level=None)
        ) as connection:
            # Deleted words stay in full-text search until its segments are merged, and deleted
            # rows stay in free pages until the file is rewritten.
            connection.execute(
                "INSERT INTO embedding_fulltext_search (embedding_fulltext_search) "
                "VALUES ('optimize')"
            )
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return {}, ()

    def drop(self, params: Any, blobs: list[bytes]) -> Reply:
        """Server only: delete this collection, or with `others` the earlier ones of this index."""
        del blobs
        name = self._options.collection
        client, family = self._connect(), name.rpartition("-")[0] + "-"
        for collection in client.list_collections():
            is_current = collection.name == name
            if params["others"] != is_current and collection.name.startswith(family):
                client.delete_collection(collection.name)
        if not params["others"]:
            self._opened = None
        return {}, ()

    def disconnect(self) -> None:
        """Drop the connection to a server; an embedded collection stays open."""
        if self._options.url is not None:
            self._client = self._opened = None

    def _set_sync_threshold(self, changes: int) -> None:
        """Set after how many changes Chroma writes its index.

        Chroma stores the number in the collection and reads it when it loads the index, so it is
        set before any other call.
        """
        configuration: Any = self._collection.configuration
        if configuration["hnsw"]["sync_threshold"] != changes:
            settings: Any = {"sync_threshold": changes, "batch_size": min(changes, 100)}
            self._collection.modify(configuration={"hnsw": settings})

    @property
    def _collection(self) -> "Collection":
        if self._opened is None:
            self._opened = self._connect().get_or_create_collection(
                self._options.collection, embedding_function=None, configuration=_CONFIGURATION
            )
        return self._opened

    def _connect(self) -> "ClientAPI":
        if self._client is None:
            url = self._options.url
            self._client = _remote(url, self._api_key) if url else self._embedded()
        return self._client

    def _embedded(self) -> "ClientAPI":
        self._slots()
        self._require_free_space()
        database = self._options.directory / "chroma.sqlite3"
        # WAL mode is stored in the file; with Chroma's default every write waits for the disk.
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        import chromadb
        from chromadb.config import Settings

        return chromadb.PersistentClient(
            str(self._options.directory), Settings(anonymized_telemetry=False)
        )

    def _slots(self) -> chroma_health.Slots:
        try:
            return chroma_health.inspect(self._options.directory)
        except chroma_health.TornIndex as exc:
            raise Damaged(str(exc)) from exc

    def _require_free_space(self) -> None:
        if self._options.url is not None:
            return
        directory = self._options.directory
        size = sum(f.stat().st_size for f in directory.rglob("*") if f.is_file())
        if shutil.disk_usage(directory).free < 2 * size + SPARE_BYTES:
            raise DiskFull(
                f"Too little free space in {directory} to write the vector index safely.",
                f"Free {(2 * size + SPARE_BYTES) / 1e9:.1f} GB; exact search answers meanwhile.",
            )


def _remote(url: str, api_key: str | None) -> "ClientAPI":
    import chromadb
    from chromadb.config import Settings

    parts = urlsplit(url)
    ssl = parts.scheme == "https"
    # A server in a network takes the first header, Chroma's own service the second.
    names = ("Authorization", "X-Chroma-Token") if api_key else ()
    keys = (f"Bearer {api_key}", str(api_key))
    try:
        return chromadb.HttpClient(
            parts.hostname or "localhost",
            parts.port or (443 if ssl else 8000),
            ssl,
            headers=dict(zip(names, keys, strict=False)),
            settings=Settings(anonymized_telemetry=False),
        )
    except ValueError as exc:
        raise VectorStoreDown(
            f"No Chroma server answers at {url}.",
            "Start it, or remove the setting that names it; exact search answers meanwhile.",
        ) from exc


@contextlib.contextmanager
def _damage_detected() -> Generator[None]:
    """Raise Chroma's own errors as Damaged: the requests are always valid."""
    try:
        yield
    except (sqlite3.DatabaseError, *_chroma_errors()) as exc:
        if "database is locked" in str(exc):
            raise Locked from exc
        if "disk is full" in str(exc):
            raise DiskFull(
                "No space left to write the vector index.",
                "Free some space; exact search answers meanwhile.",
            ) from exc
        raise Damaged(f"{type(exc).__name__}: {exc}") from exc


def _chroma_errors() -> tuple[type[Exception], ...]:
    """Return the class of Chroma's errors, if any can have been raised."""
    module = sys.modules.get("chromadb.errors")
    return (module.ChromaError,) if module is not None else ()


def _retried(answer: Handler, params: Any, blobs: list[bytes]) -> Reply:
    """Return a call's answer, retrying while another program writes; every call is repeatable."""
    until = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            with _damage_detected():
                return answer(params, blobs)
        except Locked as exc:
            if time.monotonic() > until:
                raise VectorStoreDown(
                    "Another program is writing to the vector index's database.",
                    "Close that program; exact search answers meanwhile.",
                ) from exc
            time.sleep(BUSY_PAUSE)


def _guarded(worker: Worker, answer: Handler) -> Handler:
    def guarded(params: Any, blobs: list[bytes]) -> Reply:
        try:
            return _retried(answer, params, blobs)
        except Damaged as exc:
            return {"damage": str(exc)}, ()
        except Exception:
            # The next call connects again to a server that went away.
            worker.disconnect()
            raise

    return guarded


def main() -> None:
    """Serve the collection named by the JSON object in the first argument."""
    os.umask(0o077)  # only the user may read what Chroma writes
    given = json.loads(sys.argv[1])
    options = Options(
        Path(given["directory"]), given["collection"], given["with_payload"], given["url"]
    )
    worker = Worker(options)
    methods = (
        worker.open,
        worker.upsert,
        worker.delete,
        worker.query,
        worker.health,
        worker.drop,
        worker.flush,
        worker.scrub,
    )
    with _exclusive(options):
        serve({method.__name__: _guarded(worker, method) for method in methods})


@contextlib.contextmanager
def _exclusive(options: Options) -> Generator[None]:
    """Hold the collection's directory; wait for a worker whose parent was killed to finish.

    Chroma does not notice a second process, and the two would lose each other's vectors.
    """
    if options.url is not None:
        yield
        return
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(own_data_directory(options.directory))
                break
            except DataDirectoryBusy:
                time.sleep(BUSY_PAUSE)
        yield


if __name__ == "__main__":
    main()
