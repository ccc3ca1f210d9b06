"""The one way in which files and folders of a workspace are opened.

Nobody but the user decides what a workspace holds at any moment: between two looks, a file may
become a link to somewhere else, a pipe, a device or something huge, and so may a folder above it.
So a path is walked folder by folder from the root of the file system without following a link,
each step relative to the folder opened before, and what is opened at the end is looked at before it
is read: a regular file of bounded size. Opening never waits, and reading never takes more than the
bound. A path that a workspace was approved by, and all paths below, are real ones, so a link in one
means that something was swapped.

Everything here blocks; `disk_calls.py` runs it beside the event loop.
"""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass
from pathlib import PurePath

from allma_server.errors import NothingToIndex

_BLOCK = 1 << 20

_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_LIST = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
# A folder that may be passed through need not be one that may be listed.
_PASS = (getattr(os, "O_PATH", 0) or os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
    | _NO_LINK
)
_RELATIVE = os.open in os.supports_dir_fd
"""Whether the system opens names relative to an open folder; Windows does not."""

LINK = "It is a symbolic link, or stands behind one; links are not followed."
NOT_REGULAR = "It is not a regular file."


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file, open for reading; `most` bytes are read of it and no more."""

    descriptor: int
    status: os.stat_result
    most: int

    def blocks(self) -> Iterator[bytes]:
        """Its content piece by piece.

        Raises:
            NothingToIndex: it has become larger than `most`.
        """
        left = self.most
        while block := os.read(self.descriptor, _BLOCK):
            left -= len(block)
            if left < 0:
                raise _too_large(self.most)
            yield block

    def content(self) -> bytes:
        """All of it. Raises NothingToIndex as `blocks` does."""
        return b"".join(self.blocks())


@dataclass(frozen=True, slots=True)
class OpenFolder:
    """A folder that was come to without following a link."""

    path: str
    descriptor: int | None

    def entries(self) -> list["os.DirEntry[str]"]:
        """What is in it, by name; look at the entries only while it is open."""
        place = self.path if self.descriptor is None else self.descriptor
        with os.scandir(place) as found:
            return sorted(found, key=lambda entry: entry.name)

    def status(self, name: str) -> os.stat_result:
        """What stands there under a name; of a link, the link's own. Raises OSError."""
        return os.stat(self._named(name), dir_fd=self.descriptor, follow_symlinks=False)

    def disk(self) -> int:
        """The number of the file system it is on. Raises OSError."""
        return os.stat(self.path if self.descriptor is None else self.descriptor).st_dev

    @contextlib.contextmanager
    def open_file(self, name: str, most: int) -> Generator[OpenFile]:
        """A file in it, for reading at most `most` bytes.

        Raises:
            NothingToIndex: it is a link, no regular file, or larger.
            OSError: it is not there, or may not be read.
        """
        before = self.status(name)
        _check(before, most)
        try:
            descriptor = os.open(self._named(name), _READ, dir_fd=self.descriptor)
        except OSError as exc:
            raise _link(exc) from exc
        try:
            status = os.fstat(descriptor)
            _check(status, most)
            if not _RELATIVE and not os.path.samestat(before, status):
                raise NothingToIndex(LINK)
            yield OpenFile(descriptor, status, most)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def open_folder(self, *names: str) -> Generator["OpenFolder"]:
        """The folder that `names` lead to, for listing. Raises as the function `open_folder`."""
        path = os.path.join(self.path, *names)
        if self.descriptor is None:
            with open_folder(path) as folder:
                yield folder
            return
        descriptor = self.descriptor
        try:
            for number, name in enumerate(names, start=1):
                inner = _step(descriptor, name, _LIST if number == len(names) else _PASS)
                if descriptor != self.descriptor:
                    os.close(descriptor)
                descriptor = inner
            yield OpenFolder(path, descriptor)
        finally:
            if descriptor != self.descriptor:
                os.close(descriptor)

    def _named(self, name: str) -> str:
        return os.path.join(self.path, name) if self.descriptor is None else name


@contextlib.contextmanager
def open_folder(path: str, *, listed: bool = True) -> Generator[OpenFolder]:
    """A folder by its absolute path; with `listed`, one whose entries can be had.

    Raises:
        NothingToIndex: there is a link on the way, or no folder at its end.
        OSError: it is not there, or may not be opened.
    """
    if not _RELATIVE:
        _check_way(path)
        yield OpenFolder(path, None)
        return
    first, *names = PurePath(path).parts
    descriptor = os.open(first, _LIST if listed and not names else _PASS)
    try:
        for number, name in enumerate(names, start=1):
            inner = _step(descriptor, name, _LIST if listed and number == len(names) else _PASS)
            os.close(descriptor)
            descriptor = inner
        yield OpenFolder(path, descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def open_file(path: str, most: int) -> Generator[OpenFile]:
    """A file by its absolute path, for reading at most `most` bytes.

    Raises:
        NothingToIndex: there is a link on the way or at its end, it is no regular file, or larger.
        OSError: it is not there, or may not be read.
    """
    folder, name = os.path.split(path)
    with open_folder(folder, listed=False) as opened, opened.open_file(name, most) as file:
        yield file


def status_of(path: str) -> os.stat_result:
    """What stands at an absolute path; of a link, the link's own. Raises as `open_folder`."""
    folder, name = os.path.split(path)
    with open_folder(folder, listed=False) as opened:
        return opened.status(name)


def read_named(path: str, most: int, owners: Collection[int] | None = None) -> bytes:
    """What a file outside of workspaces holds, which the user named; a link to it is followed.

    One that decides what Allma does must be of one of the `owners`.

    Raises:
        NothingToIndex: it is no regular file, larger than `most` bytes, or another user's.
        OSError: it is not there, or may not be read.
    """
    with open_file(os.path.realpath(path), most) as file:
        if owners is not None:
            check_owner(file, owners)
        return file.content()


def check_owner(file: OpenFile, owners: Collection[int]) -> None:
    """Raises NothingToIndex where a file is none of these users'."""
    if sys.platform != "win32" and file.status.st_uid not in owners:
        raise NothingToIndex("It belongs to another user.")


def trusted_owners(folder: str) -> frozenset[int]:
    """Whose files may decide something: the user's, the administrator's, the folder's owner's."""
    if sys.platform == "win32":
        return frozenset({0})
    return frozenset({os.geteuid(), 0, os.stat(folder).st_uid})


def _step(descriptor: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags, dir_fd=descriptor)
    except OSError as exc:
        raise _link(exc) from exc


def _link(exc: OSError) -> OSError | NothingToIndex:
    """Systems differ in how they say that a link was not followed."""
    swapped = exc.errno in (errno.ELOOP, errno.EMLINK, errno.ENOTDIR)
    return NothingToIndex(LINK) if swapped else exc


def _check(status: os.stat_result, most: int) -> None:
    if _is_link(status):
        raise NothingToIndex(LINK)
    if not stat.S_ISREG(status.st_mode):
        raise NothingToIndex(NOT_REGULAR)
    if status.st_size > most:
        raise _too_large(most)


def _too_large(most: int) -> NothingToIndex:
    return NothingToIndex(f"It is larger than {most / 1e6:g} MB.")


def _check_way(path: str) -> None:
    """Raises where a folder on the way is a link, on systems that cannot walk step by step."""
    for folder in (path, *map(str, PurePath(path).parents)):
        status = os.lstat(folder)
        if _is_link(status) or not stat.S_ISDIR(status.st_mode):
            raise NothingToIndex(LINK)


def _is_link(status: os.stat_result) -> bool:
    # A junction is a link too, though Windows has another word for it.
    tag = getattr(status, "st_reparse_tag", 0)
    junction = tag != 0 and tag == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)
    return stat.S_ISLNK(status.st_mode) or junction
