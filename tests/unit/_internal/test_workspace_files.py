"""Opening workspace files: regular files of limited size only, without links or waiting."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from allma_server._internal import workspace_files
from allma_server._internal.workspace_files import (
    open_file,
    open_folder,
    read_named,
    trusted_owners,
)
from allma_server.errors import NothingToIndex

MOST = 1000

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has none of these files")


@pytest.fixture(params=["step by step", "by whole paths"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is run as on systems that open names relative to a folder, and as on others."""
    if request.param == "by whole paths":
        monkeypatch.setattr(workspace_files, "_RELATIVE", False)


def content(path: Path, most: int = MOST) -> bytes:
    with open_file(str(path), most) as file:
        return file.content()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "project"
    (folder / "notes").mkdir(parents=True)
    (folder / "notes" / "a.md").write_text("inside")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.md").write_text("outside")
    return folder


@pytest.mark.usefixtures("either_way")
def test_a_regular_file_is_read(folder: Path) -> None:
    assert content(folder / "notes" / "a.md") == b"inside"


@pytest.mark.usefixtures("either_way")
def test_a_missing_file_is_reported_as_missing(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content(folder / "notes" / "b.md")


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def _link_outside(path: Path) -> None:
    path.symlink_to(path.parents[2] / "outside" / "a.md")


def _link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _link_inside(path: Path) -> None:
    path.symlink_to(path.with_name("b.md"))


def _large(path: Path) -> None:
    path.write_bytes(b"x" * (MOST + 1))


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.mkdir()


@posix
@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_link_outside, "link"),
        (_link_to_device, "link"),
        (_link_inside, "link"),
        (_pipe, "regular"),
        (_socket, "regular"),
        (_folder, "regular"),
        (_large, "larger"),
    ],
)
@pytest.mark.invariant(16)
def test_special_and_oversized_files_are_refused_at_once(
    folder: Path, make: Callable[[Path], None], why: str
) -> None:
    path = folder / "notes" / "a.md"
    (folder / "notes" / "b.md").write_text("beside")
    path.unlink()
    make(path)
    with pytest.raises(NothingToIndex, match=why):
        content(path)


@pytest.mark.invariant(16)
@posix
@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("swapped", ["notes", "."])
def test_a_parent_folder_that_became_a_link_is_not_followed(folder: Path, swapped: str) -> None:
    gone = folder / swapped
    target = folder.parent / "outside"
    (target / "notes").symlink_to(target)
    gone.rename(folder.parent / "moved")
    gone.symlink_to(target)
    with pytest.raises(NothingToIndex, match="link"):
        content(folder / "notes" / "a.md")


@contextmanager
def swapping(one: Path, other: Path) -> Generator[None]:
    """Two paths change places again and again, as fast as the system does it."""
    stop = threading.Event()
    spare = one.with_name("spare")

    def swap() -> None:
        while not stop.is_set():
            one.rename(spare)
            other.rename(one)
            one.rename(other)
            spare.rename(one)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.invariant(16)
@posix
@pytest.mark.parametrize("place", ["notes/a.md", "notes"])
def test_a_swap_between_check_and_open_reveals_nothing(folder: Path, place: str) -> None:
    link = folder / "link"
    link.symlink_to(folder.parent / "outside" / Path(place).relative_to("notes"))
    read = 0
    with swapping(folder / place, link):
        while read < 300:
            try:
                assert content(folder / "notes" / "a.md") == b"inside"
                read += 1
            except (NothingToIndex, FileNotFoundError):
                continue


def test_a_file_that_grows_while_it_is_read_is_cut_off(folder: Path) -> None:
    path = folder / "notes" / "a.md"
    with open_file(str(path), MOST) as file:
        path.write_bytes(b"x" * 10 * MOST)
        with pytest.raises(NothingToIndex, match="larger"):
            file.content()


@posix
def test_a_folder_with_only_the_execute_right_is_traversed(folder: Path) -> None:
    (folder / "notes").chmod(0o111)
    try:
        assert content(folder / "notes" / "a.md") == b"inside"
    finally:
        (folder / "notes").chmod(0o755)


@pytest.mark.usefixtures("either_way")
def test_a_folder_is_listed_by_name(folder: Path) -> None:
    (folder / "b").touch()
    (folder / "a").touch()
    with open_folder(str(folder)) as opened:
        assert [entry.name for entry in opened.entries()] == ["a", "b", "notes"]


@posix
def test_descriptors_are_always_closed(folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for name in ("a.md", "none.md", "deep/none.md"):
        for path in (folder / "notes" / name, folder / "none" / name):
            with pytest.raises((OSError, NothingToIndex, AssertionError)):
                content(path)
                raise AssertionError
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before


# --- files that decide something -----------------------------------------------------------------


def test_a_link_to_a_file_of_the_user_s_is_followed_where_files_are_trusted(folder: Path) -> None:
    link = folder / "dotfile"
    link.symlink_to(folder / "notes" / "a.md")
    assert read_named(str(link), MOST, trusted_owners(str(folder))) == b"inside"


@posix
def test_a_file_of_another_user_is_not_trusted(folder: Path) -> None:
    path = folder / "notes" / "a.md"
    owners = {path.stat().st_uid + 1}
    with pytest.raises(NothingToIndex, match="another user"):
        read_named(str(path), MOST, owners)


@posix
def test_a_link_to_a_device_is_not_trusted(folder: Path) -> None:
    link = folder / "dotfile"
    link.symlink_to("/dev/zero")
    with pytest.raises(NothingToIndex, match="regular"):
        read_named(str(link), MOST, trusted_owners(str(folder)))
