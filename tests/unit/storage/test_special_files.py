"""Special files in place of a database or an export are reported."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from allma_server.engine import import_data
from allma_server.errors import InvalidArgument, StorageError
from allma_server.storage.sqlite.database import open_database

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")

KINDS: dict[str, Callable[[Path], None]] = {
    "a folder": Path.mkdir,
    "a pipe": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a link into a folder that does not exist": lambda path: path.symlink_to("/no/such/folder/x"),
}


@pytest.mark.parametrize("beside", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_special_file_in_place_of_the_database_is_reported(
    kind: str, beside: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.db"
    if beside:
        async with open_database(path):
            pass
    place = tmp_path / f"x.db{beside}"
    KINDS[kind](place)
    with pytest.raises(StorageError, match=f"{place} is {kind}, but the database needs") as caught:
        async with open_database(path):
            pass
    assert caught.value.hint and "Move it away" in caught.value.hint


async def test_the_database_can_be_a_link_even_to_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "x.db"
    path.symlink_to(tmp_path / "elsewhere" / "y.db")
    for _ in range(2):
        async with open_database(path):
            pass
    assert (tmp_path / "elsewhere" / "y.db").stat().st_size


@pytest.mark.parametrize("kind", KINDS)
async def test_a_special_file_cannot_be_imported(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "export"
    KINDS[kind](file)
    with pytest.raises(InvalidArgument, match=f"{file} is {kind}, not a regular file"):
        await import_data(str(file), tmp_path / "data", replace=False)


async def test_a_missing_file_cannot_be_imported(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="There is no file"):
        await import_data(str(tmp_path / "export"), tmp_path / "data", replace=False)
