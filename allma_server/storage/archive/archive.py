"""Export a data directory to one file, and import it.

The file is a consistent copy of the database, with a manifest table that describes it. It is never
opened as our own: an import reads its rows into a new database (`reader.py`).
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
from allma_server._internal.special_files import special_kind
from allma_server.errors import AllmaError, DiskFull, InvalidArgument, StorageError
from allma_server.storage.archive.importer import ImportedData
from allma_server.storage.archive.masked_rows import Mask, mask_copy
from allma_server.storage.archive.reader import FORMAT
from allma_server.storage.archive.swap import delete_database, replace_database
from allma_server.storage.archive.worker import convert
from allma_server.storage.lock import data_directory_owned
from allma_server.storage.sqlite.database import Repository
from allma_server.storage.vectors.folders import delete_collections
from allma_server.types import now


class Archive(Repository):
    """Writes archives."""

    async def export(self, path: Path) -> int:
        """Write everything to a new file that only its owner may read; return its size in bytes.

        Raises:
            InvalidArgument: it already exists, or cannot be written there.
            DiskFull: no space is left for it.
        """
        draft = await asyncio.to_thread(_make_draft, path)
        try:
            await self._db.rows("VACUUM INTO ?", (str(draft),))
            return await asyncio.to_thread(_complete, draft, path, self._shown)
        except DiskFull as exc:
            raise DiskFull(f"No space is left for {path}.", "Free some space.") from exc
        finally:
            await asyncio.to_thread(draft.unlink, missing_ok=True)


def _make_draft(path: Path) -> Path:
    """Create an empty file with a unique name beside `path`."""
    try:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".allma-export-", suffix=".part")
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    os.close(handle)
    return Path(name)


def _complete(draft: Path, path: Path, mask: Mask) -> int:
    with contextlib.closing(sqlite3.connect(draft)) as copy, _disk_failures(path):
        # Who may use this engine concerns no other one.
        copy.execute("PRAGMA secure_delete = ON")
        copy.execute("DELETE FROM credentials")
        copy.execute("DELETE FROM share_outbox")
        copy.execute("DELETE FROM shares")
        copy.execute("DELETE FROM settings WHERE key IN ('share_owner', 'named_embedder_facts')")
        copy.execute("CREATE TABLE manifest (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)")
        copy.executemany(
            "INSERT INTO manifest VALUES (?, ?)",
            [("format", str(FORMAT)), ("version", __version__), ("exported_at", now())],
        )
        copy.commit()
        if mask is not str:
            mask_copy(copy, mask)
    try:
        _publish(draft, path)
        return path.stat().st_size
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def _publish(draft: Path, path: Path) -> None:
    """Give the draft its final name, unless another file has that name now."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without links: reserve the name with an empty file first.
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
    mask: bool,
    refuse: Callable[[ImportedData], None],
) -> ImportedData:
    """Replace the content of a data directory, which no engine uses, by that of an archive.

    The rows are read into a new database, which replaces the previous one at the end: after a
    failure the previous one is unchanged.

    Args:
        file: what `Archive.export` wrote, or a file made to look like it.
        data: the data directory; created if there is none.
        database: the name of its database.
        vectors: the name of its folder of vector indexes.
        replace: whether existing data may be overwritten.
        mask: whether secrets are masked in what is imported.
        refuse: raises InvalidArgument for content that may not be imported.

    Raises:
        InvalidArgument: it is not an archive, or existing data would be overwritten.
        DataDirectoryTooNew: a newer Allma wrote it.
        DataDirectoryBusy: an engine uses the directory.
        DiskFull, StorageError: it cannot be copied.
    """
    await _refuse_non_file(file)
    async with data_directory_owned(data) as owned:
        try:
            with _disk_failures(data):
                if not replace:
                    await asyncio.to_thread(_refuse_overwriting, data / database)
                imported = await _replace_database(file, data / database, refuse, mask=mask)
                await asyncio.to_thread(delete_collections, data / vectors)
                return imported
        except AllmaError:
            await asyncio.to_thread(owned.discard)
            raise


async def _replace_database(
    file: Path, target: Path, refuse: Callable[[ImportedData], None], *, mask: bool
) -> ImportedData:
    """Replace `target` by a new database with the rows of `file`."""
    draft, previous = (target.with_name(f"{target.name}.{end}") for end in ("import", "former"))
    await asyncio.to_thread(delete_database, draft)
    try:
        imported = await convert(file, draft, mask=mask)
        await asyncio.to_thread(refuse, imported)
        await asyncio.to_thread(replace_database, draft, target, previous)
        await asyncio.to_thread(delete_database, previous)
    finally:
        await asyncio.to_thread(delete_database, draft)
    return imported


async def _refuse_non_file(file: Path) -> None:
    """Raise InvalidArgument unless `file` is a regular file."""
    if (kind := await asyncio.to_thread(special_kind, file)) is not None:
        raise InvalidArgument(
            f"{file} is {kind}, not a regular file.", "Name a file that `allma export` wrote."
        )
    if not await asyncio.to_thread(file.is_file):
        raise InvalidArgument(f"There is no file {file}.")


def _refuse_overwriting(target: Path) -> None:
    if target.exists() and target.stat().st_size:
        raise InvalidArgument(
            f"{target.parent} already holds an index.",
            "Add --replace to overwrite it, or choose another data directory with --data.",
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
