"""Folders that are closed, emptied by an unmounted disk, or something else: documents are kept."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from allma_server._internal import workspace_files
from allma_server._internal.workspace_files import OpenFolder
from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.errors import UnreadableDocument
from allma_server.operations import Call
from allma_server.protocols.folders import Folders
from allma_server.types import LOCAL, DocumentRow
from tests.unit.indexing.test_ingestion import do, found, index

Closing = Callable[[Path], AbstractContextManager[None]]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="disks and rights are POSIX's")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "moon.md").write_text("# Moon\n\nThe moon pulls the tides.\n")
    (folder / "sea.md").write_text("# Sea\n\nThe sea is salty from minerals.\n")
    return folder


@pytest.fixture
def not_entered(monkeypatch: pytest.MonkeyPatch) -> Closing:
    """A folder that its user may not enter; the administrator is not kept out by its mode."""

    @contextmanager
    def closing(folder: Path) -> Generator[None]:
        really = workspace_files._step

        def step(descriptor: int, name: str, flags: int) -> int:
            if name == folder.name:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
            return really(descriptor, name, flags)

        with monkeypatch.context() as patched, mode(folder, 0o000):
            if os.geteuid() == 0:
                patched.setattr(workspace_files, "_step", step)
            yield

    return closing


@pytest.fixture
def not_searched(monkeypatch: pytest.MonkeyPatch) -> Closing:
    """A folder whose names can be listed, and nothing more be known of what is in it."""

    @contextmanager
    def closing(folder: Path) -> Generator[None]:
        really = OpenFolder.status

        def status(self: OpenFolder, name: str) -> os.stat_result:
            if self.path == str(folder):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
            return really(self, name)

        with monkeypatch.context() as patched, mode(folder, 0o444):
            if os.geteuid() == 0:
                patched.setattr(OpenFolder, "status", status)
            yield

    return closing


@contextmanager
def mode(folder: Path, bits: int) -> Generator[None]:
    folder.chmod(bits)
    try:
        yield
    finally:
        folder.chmod(0o755)


async def rows(engine: Engine) -> dict[str, DocumentRow]:
    return {Path(row.path).name: row for row in (await do(engine, "documents")).documents}


async def other_disk(engine: Engine, folder: Path) -> None:
    """From now on a folder is on another disk than when it was indexed."""
    [workspace] = await engine.catalog.workspaces()
    disks = await engine.catalog.workspace_disks(workspace.id)
    disks[str(folder)] = os.lstat(folder).st_dev + 1
    await engine.catalog.set_workspace_disks(workspace.id, disks)


@pytest.mark.parametrize("part", [None, "notes", "notes/moon.md"])
async def test_a_folder_that_cannot_be_entered_has_a_row_and_keeps_its_documents(
    config: Config, folder: Path, not_entered: Closing, part: str | None
) -> None:
    path = None if part is None else str(folder / part)
    async with open_engine(config) as engine:
        await index(engine, folder)
        with not_entered(folder / "notes"):
            report = await do(engine, "sync", path=path)
            assert report.removed == 0
            assert "permission denied" in report.failed[0].reason
            known = await rows(engine)
            assert known["moon.md"].state == "indexed"
            assert known["notes"].state == "failed"
            search = await do(engine, "search", query="moon tides")
            assert search.passages[0].path.endswith("moon.md") and search.passages[0].stale
            assert (await do(engine, "sync")).failed == []  # it is known by now
        (folder / "notes" / "moon.md").unlink()
        await do(engine, "sync")
        assert set(await rows(engine)) == {"sea.md"}


async def test_a_folder_that_was_never_open_has_a_row(
    config: Config, folder: Path, not_entered: Closing
) -> None:
    async with open_engine(config) as engine:
        with not_entered(folder / "notes"):
            report = await index(engine, folder)
            assert [(Path(f.path).name, f.reason) for f in report.failed] == [
                ("notes", "a folder that cannot be opened: permission denied")
            ]
        assert (await index(engine, folder)).indexed == 1
        assert set(await rows(engine)) == {"sea.md", "moon.md"}


async def test_inaccessible_files_are_kept_or_have_a_row(
    config: Config, folder: Path, not_searched: Closing
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        (folder / "notes" / "new.md").write_text("New.\n")
        with not_searched(folder / "notes"):
            report = await do(engine, "sync")
            assert report.removed == 0
            known = await rows(engine)
            assert known["moon.md"].state == "indexed"
            assert known["new.md"].state == "failed"
            assert known["new.md"].reason == "cannot be accessed: permission denied"
        assert (await do(engine, "sync")).updated == 1


async def test_an_emptied_workspace_on_another_disk_is_kept_until_the_user_decides(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        await other_disk(engine, folder)
        shutil.rmtree(folder / "notes")
        (folder / "sea.md").unlink()
        (folder / ".keep").touch()
        for path in (None, str(folder / "notes"), str(folder / "sea.md")):
            report = await do(engine, "sync", path=path)
            assert report.removed == 0 and "is not mounted" in report.notice, path
        [workspace] = (await do(engine, "status")).workspaces
        assert workspace.documents == 2 and "is not mounted" in workspace.reason
        search = await do(engine, "search", query="moon tides")
        assert search.passages and all(passage.stale for passage in search.passages)
        assert f"`allma index {folder}`" in search.notice
        # An editor that opens the folder, and a question put to it, decide nothing.
        await Folders([str(folder)]).index(Call(engine, LOCAL))
        report = await do(engine, "ingest", paths=[str(folder)], keep_unmounted=True)
        assert report.removed == 0 and "is not mounted" in report.notice
        assert (await do(engine, "status")).workspaces[0].documents == 2
        assert (await index(engine, folder)).removed == 2
        assert (await do(engine, "sync")).notice is None
        assert (await do(engine, "status")).workspaces[0].reason is None


async def test_a_later_scan_with_files_removes_the_missing_documents(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        await other_disk(engine, folder)
        shutil.rmtree(folder / "notes")
        (folder / "sea.md").unlink()
        assert (await do(engine, "sync")).removed == 0
        (folder / "new.md").write_text("Whales.\n")
        report = await do(engine, "sync")
        assert (report.removed, report.indexed, report.notice) == (2, 1, None)


async def test_a_folder_that_the_user_emptied_loses_its_documents(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        shutil.rmtree(folder / "notes")
        (folder / "sea.md").unlink()
        assert (await do(engine, "sync")).removed == 2


async def test_an_emptied_mount_point_inside_a_workspace_is_kept(
    config: Config, folder: Path
) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        await other_disk(engine, folder / "notes")
        (folder / "notes" / "moon.md").unlink()
        part = await do(engine, "sync", path=str(folder / "notes" / "moon.md"))
        assert part.removed == 0
        report = await do(engine, "sync")
        assert report.removed == 0
        known = await rows(engine)
        assert known["moon.md"].state == "indexed"
        assert known["notes"].state == "failed" and "not mounted" in (known["notes"].reason or "")
        (folder / "notes").rmdir()
        assert (await do(engine, "sync")).removed == 0
        assert (await index(engine, folder)).removed == 0
        assert "moon.md" in await rows(engine)
        await do(engine, "forget", path=str(folder / "notes"))
        assert (await index(engine, folder)).removed == 0
        assert set(await rows(engine)) == {"sea.md"}


def mount(place: Path) -> bool:
    """Mounts an empty file system; False where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "allma-test", str(place)]
    return sys.platform == "linux" and subprocess.run(command).returncode == 0


def unmount(place: Path) -> None:
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_documents_of_an_unmounted_disk_are_kept(config: Config, folder: Path) -> None:
    (place := folder / "disk").mkdir()
    if not mount(place):
        pytest.skip("mounting a file system takes Linux and its administrator")
    try:
        (place / "whale.md").write_text("# Whale\n\nThe whale swims far.\n")
        async with open_engine(config) as engine:
            await index(engine, folder)
            unmount(place)
            assert (await do(engine, "sync")).removed == 0
            assert (await found(engine, "whale"))[0] == "whale.md"
            mount(place)
            (place / "whale.md").write_text("# Whale\n\nThe whale swims far.\n")
            await do(engine, "sync")
            assert set(await rows(engine)) == {"sea.md", "moon.md", "whale.md"}
    finally:
        unmount(place)


def put(kind: str, place: Path) -> None:
    """Something else than a folder."""
    match kind:
        case "link":
            place.symlink_to(place.with_name("away"))
        case "dangling link":
            place.symlink_to(place.with_name("nowhere"))
        case _:
            place.write_text("A file.\n")


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
async def test_a_workspace_that_is_no_longer_a_folder_is_reported_and_kept(
    config: Config, folder: Path, tmp_path: Path, kind: str
) -> None:
    (other := tmp_path / "other").mkdir()
    (other / "whale.md").write_text("Whales.\n")
    async with open_engine(config) as engine:
        await index(engine, folder)
        shutil.move(folder, tmp_path / "away")
        put(kind, folder)
        what = "a file" if kind == "file" else "a symbolic link"
        for path in (None, str(folder)):
            with pytest.raises(UnreadableDocument, match=f"was a folder, and is {what} now"):
                await do(engine, "sync", path=path)
        [workspace] = (await do(engine, "status")).workspaces
        assert workspace.documents == 2 and what in (workspace.reason or "")
        search = await do(engine, "search", query="moon tides")
        assert search.passages and all(passage.stale for passage in search.passages)
        assert what in search.notice
        assert (await index(engine, other)).indexed == 1
        (other / "new.md").write_text("More whales.\n")
        both = await do(engine, "sync")
        assert both.indexed == 1 and what in both.notice
        os.unlink(folder)
        shutil.move(tmp_path / "away", folder)
        assert (await do(engine, "sync")).unchanged == 4


async def test_a_pipe_in_place_of_a_workspace_is_called_one(config: Config, folder: Path) -> None:
    async with open_engine(config) as engine:
        await index(engine, folder)
        shutil.rmtree(folder)
        os.mkfifo(folder)
        with pytest.raises(UnreadableDocument, match="was a folder, and is a pipe now"):
            await index(engine, folder)
