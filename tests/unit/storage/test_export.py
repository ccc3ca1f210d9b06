"""An export writes one new file and changes no other."""

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from allma_server.engine import Engine
from allma_server.errors import InvalidArgument
from allma_server.operations.targets import write_new, write_picture
from tests.unit.indexing.test_ingestion import do


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "exports"
    place.mkdir()
    return place


async def test_files_named_like_a_temporary_file_are_kept(engine: Engine, place: Path) -> None:
    for name in ("copy.allma.part", "copy.allma.new", ".copy.allma.part", "copy.allma.tmp"):
        (place / name).write_text("the user's")
    before = set(os.listdir(place))
    await do(engine, "export", path=str(place / "copy.allma"))
    assert set(os.listdir(place)) == before | {"copy.allma"}
    assert all((place / name).read_text() == "the user's" for name in before)


def a_file(path: Path) -> None:
    path.write_text("the user's")


def a_folder(path: Path) -> None:
    path.mkdir()


def a_dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


@pytest.mark.parametrize("make", [a_file, a_folder, a_dangling_link])
async def test_an_existing_file_is_not_replaced(
    engine: Engine, place: Path, make: Callable[[Path], None]
) -> None:
    make(place / "copy.allma")
    status = (place / "copy.allma").lstat()
    with pytest.raises(InvalidArgument, match="exists"):
        await do(engine, "export", path=str(place / "copy.allma"))
    after = (place / "copy.allma").lstat()
    assert (after.st_ino, after.st_mtime_ns) == (status.st_ino, status.st_mtime_ns)
    assert os.listdir(place) == ["copy.allma"]


async def test_a_file_created_meanwhile_is_kept(engine: Engine, place: Path) -> None:
    target = place / "copy.allma"
    export = engine.catalog._db.rows  # pyright: ignore[reportPrivateUsage]

    async def slow(sql: str, values: tuple[str, ...] = ()) -> object:
        await asyncio.to_thread(target.write_text, "the user's")
        return await export(sql, values)

    engine.catalog._db.rows = slow  # type: ignore[assignment, method-assign]
    with pytest.raises(InvalidArgument, match="exists"):
        await engine.catalog.export(target)
    assert target.read_text() == "the user's"
    assert os.listdir(place) == ["copy.allma"]


@pytest.mark.parametrize("path", ["copy.allma", "./copy.allma", "", "a\0b", "/no/such/folder/x"])
async def test_an_invalid_target_is_refused(engine: Engine, path: str) -> None:
    before = set(os.listdir("."))
    with pytest.raises(InvalidArgument):
        await do(engine, "export", path=path)
    assert set(os.listdir(".")) == before


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
async def test_an_export_is_private_under_any_umask(engine: Engine, place: Path) -> None:
    mask = os.umask(0)
    try:
        await do(engine, "export", path=str(place / "copy.allma"))
    finally:
        os.umask(mask)
    assert stat.S_IMODE((place / "copy.allma").stat().st_mode) == 0o600


def test_a_chart_replaces_only_a_chart(place: Path) -> None:
    picture, letter = place / "a.svg", place / "b.svg"
    write_picture(str(picture), "<svg/>")
    write_picture(str(picture), "<svg></svg>")
    assert picture.read_text() == "<svg></svg>"
    letter.write_text("Dear Ann")
    with pytest.raises(InvalidArgument, match="not an SVG picture"):
        write_picture(str(letter), "<svg/>")
    with pytest.raises(InvalidArgument, match="File exists"):
        write_new(str(letter), "{}")
    assert letter.read_text() == "Dear Ann"
    assert sorted(os.listdir(place)) == ["a.svg", "b.svg"]


async def test_what_an_earlier_version_left_unmasked_is_masked_in_an_export(
    engine: Engine, place: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.md").write_text("The lamp is lit at dusk.\n")
    await do(engine, "ingest", paths=[str(folder)])
    token = "glpat-Zk7Qm2Vx9Lp4Rt6Wn8Yd"
    async with engine.catalog._db.transaction() as tx:  # pyright: ignore[reportPrivateUsage]
        await tx.execute("UPDATE chunks SET text = text || ?", (f" {token}",))
        await tx.execute("UPDATE workspaces SET rules = 'an earlier version'")
    await do(engine, "export", path=str(place / "copy.allma"))
    content = (place / "copy.allma").read_bytes()
    assert token.encode() not in content and b"[secret: gitlab token]" in content
