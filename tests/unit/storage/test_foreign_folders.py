"""Another user who prepares a data directory gets nothing written through it."""

import logging
import os
import sys
from pathlib import Path

import pytest

from allma_server._internal.logs import logging_to
from allma_server.errors import StorageError
from allma_server.storage.lock import LOCK_FILE, own_data_directory
from allma_server.storage.sqlite.database import open_database

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="users are separated otherwise")

US = 4711


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    file = tmp_path / "precious"
    file.write_text("mine")
    return file


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of another user, in which we may write."""
    data = tmp_path / "data"
    (data / "logs").mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(data, 12345, 12345)
    monkeypatch.setattr(os, "getuid", lambda: US)
    return data


def test_a_data_directory_of_another_user_is_not_written(data: Path) -> None:
    with pytest.raises(StorageError, match="another user"), own_data_directory(data):
        pass
    with logging_to(data):
        logging.getLogger("allma_server").error("a question")
    assert sorted(os.listdir(data)) == ["logs"] and os.listdir(data / "logs") == []


async def test_a_database_of_another_user_is_not_opened(data: Path) -> None:
    file = data / "allma.sqlite3"
    file.touch()
    if os.geteuid() == 0:
        os.chown(file, 12345, 12345)
    with pytest.raises(StorageError, match="another user"):
        async with open_database(file):
            pass
    assert file.stat().st_size == 0


def test_links_in_the_place_of_the_lock_and_the_log_are_not_followed(
    tmp_path: Path, precious: Path
) -> None:
    data = tmp_path / "ours"
    (data / "logs").mkdir(parents=True)
    (data / LOCK_FILE).symlink_to(precious)
    (data / "logs" / "allma.log").symlink_to(precious)
    with pytest.raises(StorageError, match="is a link"), own_data_directory(data):
        pass
    (data / LOCK_FILE).unlink()
    with logging_to(data):
        logging.getLogger("allma_server").error("a question")
    assert precious.read_text() == "mine"
