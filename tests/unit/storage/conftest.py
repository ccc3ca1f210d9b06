from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from allma_server.storage.sqlite.catalog import Catalog
from allma_server.storage.sqlite.database import Database, open_database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(tmp_path / "allma.sqlite3") as opened:
        yield opened


@pytest.fixture
def catalog(database: Database) -> Catalog:
    return Catalog(database)
