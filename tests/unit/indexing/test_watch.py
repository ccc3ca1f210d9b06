"""Real folders and a real watcher; the tests wait for events."""

import asyncio
import contextlib
import errno
import os
import shutil
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from allma_server.indexing import watch as watch_module
from allma_server.indexing.watch import Watch


class Changes:
    """What the watcher reported, with a way to wait for it."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.came = asyncio.Event()

    def __call__(self, paths: set[str]) -> None:
        self.paths |= paths
        self.came.set()

    async def mention(self, path: Path) -> None:
        """Waits until `path`, or a folder that holds it, was named."""
        async with asyncio.timeout(10):
            while not self.paths & {str(path), *map(str, path.parents)}:
                await self.came.wait()
                self.came.clear()

    def forget(self) -> None:
        self.paths.clear()
        self.came.clear()


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.md").write_text("one")
    return root


@contextlib.asynccontextmanager
async def watching(*roots: Path) -> AsyncGenerator[tuple[Changes, Watch]]:
    changes = Changes()
    watch = Watch(changes, Path("/no-data-directory"))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch.run())
        watch.set_roots([str(root) for root in roots])
        async with asyncio.timeout(10):
            await watch.wait_until_ready()
            await changes.mention(roots[0])
        changes.forget()
        yield changes, watch
        task.cancel()


async def test_a_save_is_noticed(root: Path) -> None:
    async with watching(root) as (changes, _):
        (root / "sub" / "b.md").write_text("two")
        await changes.mention(root / "sub" / "b.md")


async def test_an_atomic_save_is_noticed_under_the_file_s_own_name(root: Path) -> None:
    async with watching(root) as (changes, _):
        (root / "a.md.tmp").write_text("two")
        os.replace(root / "a.md.tmp", root / "a.md")
        await changes.mention(root / "a.md")


async def test_files_written_into_a_new_folder_at_once_are_not_missed(root: Path) -> None:
    async with watching(root) as (changes, _):
        for n in range(30):
            folder = root / "new" / f"deep{n}"
            folder.mkdir(parents=True)
            (folder / "c.md").write_text("three")
        await changes.mention(root / "new" / "deep29" / "c.md")
        # And the new folders themselves are watched from now on.
        async with asyncio.timeout(10):
            while str(root / "new" / "deep29") not in changes.paths:
                await changes.came.wait()
                changes.came.clear()
        changes.forget()
        (root / "new" / "deep29" / "d.md").write_text("four")
        await changes.mention(root / "new" / "deep29" / "d.md")


@pytest.mark.skipif(sys.platform != "linux", reason="needs names that are not UTF-8")
async def test_a_name_that_is_not_utf_8_does_not_end_the_watch(root: Path) -> None:
    async with watching(root) as (changes, watch):
        for text in ("two", "three"):
            (root / "sub" / os.fsdecode(b"caf\xe9.md")).write_text(text)
            await changes.mention(root / "sub")
            await watch.wait_until_ready()
            changes.forget()
        (root / "a.md").write_text("four")
        await changes.mention(root / "a.md")


async def test_a_folder_moved_away_is_noticed(root: Path, tmp_path: Path) -> None:
    async with watching(root) as (changes, _):
        shutil.move(root / "sub", tmp_path / "elsewhere")
        await changes.mention(root / "sub")


async def test_an_ignored_tree_is_not_watched(root: Path) -> None:
    (root / ".gitignore").write_text("generated/\n")
    for n in range(20):
        (root / "generated" / str(n)).mkdir(parents=True)
    async with watching(root) as (changes, _):
        (root / "generated" / "3" / "x.md").write_text("no")
        (root / "a.md").write_text("yes")
        await changes.mention(root / "a.md")
        assert not any("generated" in path for path in changes.paths)


async def test_a_workspace_that_is_one_file_survives_being_replaced(root: Path) -> None:
    async with watching(root / "a.md") as (changes, _):
        for text in ("two", "three"):
            (root / "tmp").write_text(text)
            os.replace(root / "tmp", root / "a.md")
            async with asyncio.timeout(10):
                while str(root / "a.md") not in changes.paths:
                    await changes.came.wait()
                    changes.came.clear()
            changes.forget()


async def test_a_workspace_added_later_is_watched_too(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with watching(root) as (changes, watch):
        watch.set_roots([str(root), str(other)])
        await watch.wait_until_ready()
        (other / "e.md").write_text("five")
        await changes.mention(other / "e.md")


async def test_nothing_is_missed_while_folders_are_created_and_deleted(root: Path) -> None:
    for n in range(40):
        (root / "many" / f"sub{n}").mkdir(parents=True)
    async with watching(root) as (changes, _):
        for n in range(40):
            os.rename(root / "many" / f"sub{n}", root / "many" / f"other{n}")
            changes.forget()
            # The renaming restarts the watch; the save happens at that moment.
            await asyncio.sleep(0.002 * n)
            (root / "a.md").write_text(f"{n}")
            await changes.mention(root / "a.md")


async def test_a_workspace_with_a_missing_folder_does_not_stop_the_others(
    root: Path, tmp_path: Path
) -> None:
    async with watching(root) as (changes, watch):
        watch.set_roots([str(root), str(tmp_path / "never" / "there")])
        await watch.wait_until_ready()
        assert watch.problem is None
        (root / "a.md").write_text("two")
        await changes.mention(root / "a.md")


async def test_a_failed_watch_is_retried_and_the_reason_is_reported(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = watch_module._change_batches

    def refused(*_: object) -> watch_module.Batches:
        monkeypatch.setattr(watch_module, "_change_batches", working)
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(watch_module, "_change_batches", refused)
    changes = Changes()
    watch = Watch(changes, Path("/no-data-directory"))
    async with asyncio.TaskGroup() as group, asyncio.timeout(20):
        task = group.create_task(watch.run(retry_seconds=0.5))
        watch.set_roots([str(root)])
        await watch.wait_until_ready()
        assert watch.problem is not None and "watch limit reached" in watch.problem
        await changes.mention(root)
        assert watch.problem is None
        task.cancel()
