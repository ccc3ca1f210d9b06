"""Replace a damaged database by a new one with every row that can still be read."""

import asyncio
from pathlib import Path

from allma_server.errors import StorageError
from allma_server.storage.archive.importer import ImportedData
from allma_server.storage.archive.swap import delete_database, replace_database
from allma_server.storage.archive.worker import rescue
from allma_server.storage.sqlite.backup import damaged_copy


async def rescue_database(database: Path) -> tuple[Path, ImportedData]:
    """Replace a damaged database that no process has open.

    Returns where the damaged one is kept, and what was saved.

    Raises:
        DiskFull, StorageError: it failed; the database is unchanged.
    """
    draft, kept = database.with_name(f"{database.name}.rescue"), damaged_copy(database)
    try:
        await asyncio.to_thread(delete_database, draft)
        saved = await rescue(database, draft)
        await asyncio.to_thread(replace_database, draft, database, kept)
    except OSError as exc:
        raise _failed(database, exc) from exc
    finally:
        await asyncio.to_thread(delete_database, draft)
    return kept, saved


def _failed(database: Path, exc: OSError) -> StorageError:
    return StorageError(f"Cannot repair {database}: {exc.strerror or exc}.", "Check the disk.")
