"""The process that owns a Chroma collection; the only importer of chromadb.

It runs with the collection's directory as its current one and a bare environment, because
chromadb takes settings from both. Started by `chroma.py`, which holds the other end of the pipe.
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
from typing import Any
from urllib.parse import urlsplit

import chromadb
import numpy as np
from chromadb import Collection
from chromadb.api import ClientAPI
from chromadb.config import Settings
from chromadb.errors import ChromaError

from allma_server._internal.child_server import Handler, Reply, serve
from allma_server.errors import DataDirectoryBusy, DiskFull, VectorStoreDown
from allma_server.storage.lock import own_data_directory
from allma_server.storage.vectors import chroma_health

SPARE_BYTES = 500_000_000
"""Room that must be left besides twice the index: a write that runs out of it destroys it."""

BUSY_PAUSE = 0.05
"""Seconds between two tries to own a directory that another worker still writes."""

LOCKED_SECONDS = 5.0
"""How long a call is tried again while something else writes to Chroma's database."""

_CONFIGURATION: Any = {"hnsw": {"space": "cosine", "ef_search": 200}}


class Damaged(Exception):
    """The index cannot be used any more and has to be built anew."""


class Locked(Exception):
    """Something else writes to Chroma's database just now."""


@dataclass(slots=True)
class Place:
    """What the parent passed on the command line."""

    directory: Path
    collection: str
    with_payload: bool
    url: str | None


class Worker:
    """Answers the calls, of which `open` is the first."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._client: ClientAPI | None = None
        self._opened: Collection | None = None

    def open(self, params: Any, blobs: list[bytes]) -> Reply:
        """Opens the collection; Chroma writes its index after so many changes from now on."""
        del blobs
        if self._place.url is None:
            self._write_after(params["changes"])
        return {"rows": self._collection.count()}, ()

    def upsert(self, params: Any, blobs: list[bytes]) -> Reply:
        self._require_room()
        ids = [str(i) for i in params["ids"]]
        vectors = np.frombuffer(blobs[0], np.float32).reshape(len(ids), -1)
        payload: Any = {}
        if self._place.with_payload:
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

    def inspect(self, params: Any, blobs: list[bytes]) -> Reply:
        del params, blobs
        rows = self._collection.count()
        slots = chroma_health.Slots(rows, rows)
        if self._place.url is None:
            slots = self._slots()
        return {"rows": rows, "used": slots.used, "live": slots.live}, ()

    def flush(self, params: Any, blobs: list[bytes]) -> Reply:
        """Changes a row to what it is, some times: with it, Chroma writes all that came before."""
        del params, blobs
        found: Any = self._collection.get(limit=1, include=["embeddings", "documents", "metadatas"])
        payload: Any = {}
        if self._place.with_payload:
            payload = {"documents": found["documents"], "metadatas": found["metadatas"]}
        for _ in range(2):
            self._collection.upsert(ids=found["ids"], embeddings=found["embeddings"], **payload)
        return {}, ()

    def scrub(self, params: Any, blobs: list[bytes]) -> Reply:
        """Overwrites what was deleted; the collection is not open in this process yet."""
        del params, blobs
        directory = self._place.directory
        chroma_health.overwrite_deleted(directory)
        with contextlib.closing(
            sqlite3.connect(directory / "chroma.sqlite3", isolation_level=None)
        ) as connection:
            # Deleted words stay in full-text search until its parts are merged, and deleted rows
            # in free room of the file until it is written anew.
            connection.execute(
                "INSERT INTO embedding_fulltext_search (embedding_fulltext_search) "
                "VALUES ('optimize')"
            )
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return {}, ()

    def drop(self, params: Any, blobs: list[bytes]) -> Reply:
        """Server only: deletes this collection, or with `others` the older ones of this index."""
        del blobs
        name = self._place.collection
        client, family = self._connect(), name.rpartition("-")[0] + "-"
        for collection in client.list_collections():
            mine = collection.name == name
            if params["others"] != mine and collection.name.startswith(family):
                client.delete_collection(collection.name)
        if not params["others"]:
            self._opened = None
        return {}, ()

    def disconnect(self) -> None:
        """Forgets the connection to a server; an embedded collection stays open."""
        if self._place.url is not None:
            self._client = self._opened = None

    def _write_after(self, changes: int) -> None:
        """Sets after how many changes Chroma writes its index.

        The number stays in the collection, whatever becomes of this process, and counts for an
        index that is loaded later: it is set before anything is asked of a collection.
        """
        configuration: Any = self._collection.configuration
        if configuration["hnsw"]["sync_threshold"] != changes:
            wanted: Any = {"sync_threshold": changes, "batch_size": min(changes, 100)}
            self._collection.modify(configuration={"hnsw": wanted})

    @property
    def _collection(self) -> Collection:
        if self._opened is None:
            self._opened = self._connect().get_or_create_collection(
                self._place.collection, embedding_function=None, configuration=_CONFIGURATION
            )
        return self._opened

    def _connect(self) -> ClientAPI:
        if self._client is None:
            url = self._place.url
            self._client = _remote(url) if url else self._embedded()
        return self._client

    def _embedded(self) -> ClientAPI:
        self._slots()
        self._require_room()
        database = self._place.directory / "chroma.sqlite3"
        # Sticky in the file; with Chroma's own choice every write waits for the disk.
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        return chromadb.PersistentClient(
            str(self._place.directory), Settings(anonymized_telemetry=False)
        )

    def _slots(self) -> chroma_health.Slots:
        try:
            return chroma_health.inspect(self._place.directory)
        except chroma_health.Torn as exc:
            raise Damaged(str(exc)) from exc

    def _require_room(self) -> None:
        if self._place.url is not None:
            return
        directory = self._place.directory
        size = sum(f.stat().st_size for f in directory.rglob("*") if f.is_file())
        if shutil.disk_usage(directory).free < 2 * size + SPARE_BYTES:
            raise DiskFull(
                f"Too little space is left in {directory} to write the vector index safely.",
                f"Free {(2 * size + SPARE_BYTES) / 1e9:.1f} GB; exact search serves meanwhile.",
            )


def _remote(url: str) -> ClientAPI:
    parts = urlsplit(url)
    ssl = parts.scheme == "https"
    try:
        return chromadb.HttpClient(
            parts.hostname or "localhost",
            parts.port or (443 if ssl else 8000),
            ssl,
            settings=Settings(anonymized_telemetry=False),
        )
    except ValueError as exc:
        raise VectorStoreDown(
            f"No Chroma server answers at {url}.",
            "Start it, or remove the setting chroma_url; exact search serves meanwhile.",
        ) from exc


@contextlib.contextmanager
def _damage_seen() -> Generator[None]:
    """Chroma's own errors mean damage: what it is asked for is always in order."""
    try:
        yield
    except (ChromaError, sqlite3.DatabaseError) as exc:
        if "database is locked" in str(exc):
            raise Locked from exc
        if "disk is full" in str(exc):
            raise DiskFull(
                "No space is left to write the vector index.",
                "Free some space; exact search serves meanwhile.",
            ) from exc
        raise Damaged(f"{type(exc).__name__}: {exc}") from exc


def _unlocked(answer: Handler, params: Any, blobs: list[bytes]) -> Reply:
    """The answer of a call, each of which can be repeated, once nothing else writes."""
    until = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            with _damage_seen():
                return answer(params, blobs)
        except Locked as exc:
            if time.monotonic() > until:
                raise VectorStoreDown(
                    "Something else writes to the vector index's database.",
                    "Close what has it open; exact search serves meanwhile.",
                ) from exc
            time.sleep(BUSY_PAUSE)


def _guarded(worker: Worker, answer: Handler) -> Handler:
    def guarded(params: Any, blobs: list[bytes]) -> Reply:
        try:
            return _unlocked(answer, params, blobs)
        except Damaged as exc:
            return {"damage": str(exc)}, ()
        except Exception:
            # A server that went away is sought anew by the next call.
            worker.disconnect()
            raise

    return guarded


def main() -> None:
    """Serves the collection named by the JSON object in the first argument."""
    os.umask(0o077)  # what Chroma writes is its user's alone
    options = json.loads(sys.argv[1])
    place = Place(
        Path(options["directory"]), options["collection"], options["with_payload"], options["url"]
    )
    worker = Worker(place)
    methods = (
        worker.open,
        worker.upsert,
        worker.delete,
        worker.query,
        worker.inspect,
        worker.drop,
        worker.flush,
        worker.scrub,
    )
    with _alone(place):
        serve({method.__name__: _guarded(worker, method) for method in methods})


@contextlib.contextmanager
def _alone(place: Place) -> Generator[None]:
    """Waits for a worker whose parent was killed: it ends what it is writing before it leaves.

    Chroma itself does not notice a second process, and the two lose each other's vectors.
    """
    if place.url is not None:
        yield
        return
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(own_data_directory(place.directory))
                break
            except DataDirectoryBusy:
                time.sleep(BUSY_PAUSE)
        yield


if __name__ == "__main__":
    main()
