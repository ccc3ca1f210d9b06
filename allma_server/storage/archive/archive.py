"""The whole of a data directory in one file, and back.

The file is a database like the one in use, whole at one moment, with a table that says what it
is. It is never opened as ours: an import reads its rows into a new database (`archive_reader.py`).
The vector index is not in it: it is rebuilt from the vectors where the file is imported.
"""

import asyncio
import contextlib
import errno
import os
import sqlite3
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

from allma_server import __version__
from allma_server._internal.private import FILE_MODE
from allma_server.errors import DiskFull, InvalidArgument, StorageError
from allma_server.storage.archive.importer import Taken
from allma_server.storage.archive.reader import FORMAT
from allma_server.storage.archive.swap import delete_database, exchange
from allma_server.storage.archive.worker import convert
from allma_server.storage.lock import data_directory_owned
from allma_server.storage.special_files import special_kind
from allma_server.storage.sqlite.database import Stored
from allma_server.storage.vectors.folders import delete_collections
from allma_server.types import now


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


async def import_archive(
    file: Path,
    data: Path,
    database: str,
    vectors: str,
    *,
    replace: bool,
    refuse: Callable[[Taken], None],
) -> Taken:
    """Makes what `file` holds the content of a data directory that no engine uses.

    The rows are read into a new database, which takes the place of the former one at the end:
    whatever fails before, the former one stays.

    Args:
        file: what `Archive.export` wrote, or what anybody made look like it.
        data: the data directory; created when it is not there.
        database: the name of its database.
        vectors: the name of its folder of vector indexes.
        replace: whether what is there may be overwritten.
        refuse: raises InvalidArgument for content that may not be taken over.

    Raises:
        InvalidArgument: it is not such a file, or there is something to overwrite.
        DataDirectoryTooNew: a newer Allma wrote it.
        DataDirectoryBusy: an engine uses the directory.
        DiskFull, StorageError: it cannot be copied.
    """
    await _refuse_others(file)
    async with data_directory_owned(data):
        with _disk_failures(data):
            if not replace:
                await asyncio.to_thread(_refuse_overwriting, data / database)
            taken = await _take_over(file, data / database, refuse)
            await asyncio.to_thread(delete_collections, data / vectors)
            return taken


async def _take_over(file: Path, target: Path, refuse: Callable[[Taken], None]) -> Taken:
    """Puts a new database with what `file` holds in the place of `target`."""
    draft, former = (target.with_name(f"{target.name}.{end}") for end in ("import", "former"))
    await asyncio.to_thread(delete_database, draft)
    try:
        taken = await convert(file, draft)
        await asyncio.to_thread(refuse, taken)
        await asyncio.to_thread(exchange, draft, target, former)
        await asyncio.to_thread(delete_database, former)
    finally:
        await asyncio.to_thread(delete_database, draft)
    return taken


async def _refuse_others(file: Path) -> None:
    """Raises InvalidArgument for what is no file at all."""
    if (kind := await asyncio.to_thread(special_kind, file)) is not None:
        raise InvalidArgument(
            f"{file} is {kind}, not a regular file.", "Name a file that `allma export` wrote."
        )
    if not await asyncio.to_thread(file.is_file):
        raise InvalidArgument(f"There is no file {file}.")


def _refuse_overwriting(target: Path) -> None:
    if target.exists() and target.stat().st_size:
        raise InvalidArgument(
            f"There is an index in {target.parent} already.",
            "Add --replace to put the file in its place, or choose another with --data.",
        )


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
