"""The whole of a data directory in one file, and back.

The file is a database like the one in use, whole at one moment, with a table that says what it
is. Chroma's index is not in it: it is built anew from the vectors where the file is imported.
"""

import asyncio
import contextlib
import errno
import os
import sqlite3
import tempfile
from collections.abc import Generator
from pathlib import Path

from allma_server import __version__
from allma_server.errors import DataDirectoryTooNew, DiskFull, InvalidArgument, StorageError
from allma_server.model import now
from allma_server.private import FILE_MODE
from allma_server.stores.chroma import delete_collections
from allma_server.stores.database import Stored
from allma_server.stores.lock import own_data_directory
from allma_server.stores.migrations import MIGRATIONS

FORMAT = 1

_OF_THE_PLACE = ("vector_collection", "vector_index_id")
"""Settings that name the vector index of the directory the file came from."""


class Archive(Stored):
    """Writes the file."""

    async def export(self, path: Path) -> int:
        """Writes everything to a new file that only its owner may read; its size in bytes.

        Raises:
            InvalidArgument: it exists already, or may not be written there.
            DiskFull: no space is left for it.
        """
        draft = await asyncio.to_thread(_make_draft, path)
        try:
            await self._db.rows("VACUUM INTO ?", (str(draft),))
            return await asyncio.to_thread(_finish, draft, path)
        except DiskFull as exc:
            raise DiskFull(f"No space is left for {path}.", "Free some space.") from exc
        finally:
            await asyncio.to_thread(draft.unlink, missing_ok=True)


def _make_draft(path: Path) -> Path:
    """An empty file beside `path`, with a name that nobody else has."""
    try:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".allma-export-", suffix=".part")
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    os.close(handle)
    return Path(name)


def _finish(draft: Path, path: Path) -> int:
    with contextlib.closing(sqlite3.connect(draft)) as copy, _disk_failures(path):
        copy.execute("CREATE TABLE manifest (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)")
        copy.executemany(
            "INSERT INTO manifest VALUES (?, ?)",
            [("format", str(FORMAT)), ("version", __version__), ("exported_at", now())],
        )
        copy.commit()
    try:
        _name_finally(draft, path)
        return path.stat().st_size
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def _name_finally(draft: Path, path: Path) -> None:
    """Gives the draft its name, unless another file has taken it meanwhile."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links: the name is taken by a file of ours first.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
        os.replace(draft, path)


def _unwritable(path: Path, exc: OSError) -> InvalidArgument | DiskFull:
    if exc.errno == errno.ENOSPC:
        return DiskFull(f"No space is left for {path}.", "Free some space.")
    return InvalidArgument(
        f"{path} cannot be written: {exc.strerror}.", "Name a file that does not exist yet."
    )


def import_archive(file: Path, data: Path, database: str, vectors: str, *, replace: bool) -> None:
    """Makes what `file` holds the content of a data directory that no engine uses.

    Args:
        file: what `Archive.export` wrote.
        data: the data directory; created when it is not there.
        database: the name of its database.
        vectors: the name of its folder of vector indexes.
        replace: whether what is there may be overwritten.

    Raises:
        InvalidArgument: it is not such a file, or there is something to overwrite.
        DataDirectoryTooNew: a newer Allma wrote it.
        DataDirectoryBusy: an engine uses the directory.
        DiskFull, StorageError: it cannot be copied.
    """
    _check(file)
    with own_data_directory(data), _disk_failures(data):
        target, draft = data / database, data / f"{database}.part"
        if target.exists() and not replace:
            raise InvalidArgument(
                f"There is an index in {data} already.",
                "Add --replace to put the file in its place, or choose another with --data.",
            )
        draft.unlink(missing_ok=True)
        with contextlib.closing(_opened(file)) as source:
            with contextlib.closing(sqlite3.connect(draft)) as copy:
                source.backup(copy)
                copy.execute("DROP TABLE manifest")
                copy.executemany(
                    "DELETE FROM settings WHERE key = ?", [(k,) for k in _OF_THE_PLACE]
                )
                copy.commit()
        draft.chmod(0o600)
        # The former database's log must not be taken for the new one's.
        for ending in ("-wal", "-shm"):
            target.with_name(database + ending).unlink(missing_ok=True)
        os.replace(draft, target)
        delete_collections(data / vectors)


def _check(file: Path) -> None:
    wrong = InvalidArgument(f"{file} is not a whole file of `allma export`.", "Choose another one.")
    if not file.is_file():
        raise InvalidArgument(f"There is no file {file}.")
    try:
        with contextlib.closing(_opened(file)) as source:
            manifest = dict(source.execute("SELECT key, value FROM manifest"))
            [schema] = source.execute("PRAGMA user_version").fetchone()
            [state] = source.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as exc:
        raise wrong from exc
    if int(manifest["format"]) > FORMAT or schema > len(MIGRATIONS):
        raise DataDirectoryTooNew(
            f"{file} was written by a newer version of Allma ({manifest['version']}).",
            "Update Allma first.",
        )
    if state != "ok":
        raise wrong


def _opened(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)


@contextlib.contextmanager
def _disk_failures(data: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as exc:
        if "full" in str(exc):
            raise DiskFull(f"No space is left in {data}.", "Free some space.") from exc
        raise StorageError(f"The file cannot be copied to {data}: {exc}.") from exc
    except OSError as exc:
        raise StorageError(f"The file cannot be copied to {data}: {exc.strerror}.") from exc
