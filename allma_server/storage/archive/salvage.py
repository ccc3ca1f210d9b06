"""A damaged database gives way to a new one with what can still be read of it."""

import asyncio
from pathlib import Path

from allma_server.errors import StorageError
from allma_server.storage.archive.importer import Taken
from allma_server.storage.archive.swap import delete_database, exchange
from allma_server.storage.archive.worker import rescue
from allma_server.storage.sqlite.backup import damaged_copy


async def rescue_database(database: Path) -> tuple[Path, Taken]:
    """Replaces a damaged database that nobody has open; where it is kept, and what was saved.

    Raises:
        DiskFull, StorageError: it cannot be done; the database is as it was.
    """
    draft, kept = database.with_name(f"{database.name}.rescue"), damaged_copy(database)
    try:
        await asyncio.to_thread(delete_database, draft)
        taken = await rescue(database, draft)
        await asyncio.to_thread(exchange, draft, database, kept)
    except OSError as exc:
        raise _failed(database, exc) from exc
    finally:
        await asyncio.to_thread(delete_database, draft)
    return kept, taken


def _failed(database: Path, exc: OSError) -> StorageError:
    return StorageError(f"{database} cannot be repaired: {exc.strerror or exc}.", "Check the disk.")
