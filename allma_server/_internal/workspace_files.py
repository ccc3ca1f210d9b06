"""The only way in which files and folders of a workspace are opened.

A workspace can change at any moment: between two system calls a file, or a folder above it, may
become a link to somewhere else, a pipe, a device or a huge file. So a path is opened folder by
folder from the root of the file system without following links, each step relative to the open
folder before it. The file at the end must be a regular file of limited size. Opening never waits,
and reading never takes more than the limit. Approved workspaces and all paths below are real paths,
so a link in one means that it was replaced.

Everything here blocks; `disk_calls.py` runs it in threads.
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
# A folder on the way need not be readable.
_TRAVERSE = (getattr(os, "O_PATH", 0) or os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
    | _NO_LINK
)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | _NO_LINK
_RELATIVE = os.open in os.supports_dir_fd
"""Whether the system can open a name relative to an open folder; Windows cannot."""

LINK = "It is a symbolic link or behind one, and links are not followed."
NOT_REGULAR = "It is not a regular file."


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file, open for reading at most `limit` bytes."""

    descriptor: int
    status: os.stat_result
    limit: int

    def blocks(self) -> Iterator[bytes]:
        """Yield its content in blocks.

        Raises:
            NothingToIndex: it has become larger than `limit`.
        """
        left = self.limit
        while block := os.read(self.descriptor, _BLOCK):
            left -= len(block)
            if left < 0:
                raise _too_large(self.limit)
            yield block

    def content(self) -> bytes:
        """Return its whole content. Raises NothingToIndex as `blocks` does."""
        return b"".join(self.blocks())


@dataclass(frozen=True, slots=True)
class OpenFolder:
    """A folder that was opened without following a link."""

    path: str
    descriptor: int | None

    def entries(self) -> list["os.DirEntry[str]"]:
        """Return its entries sorted by name; use them only while it is open."""
        place = self.path if self.descriptor is None else self.descriptor
        with os.scandir(place) as found:
            return sorted(found, key=lambda entry: entry.name)

    def status(self, name: str) -> os.stat_result:
        """Return the status of a name in it, of a link itself. Raises OSError."""
        return os.stat(self._named(name), dir_fd=self.descriptor, follow_symlinks=False)

    def disk(self) -> int:
        """Return the device number of its file system. Raises OSError."""
        return os.stat(self.path if self.descriptor is None else self.descriptor).st_dev

    @contextlib.contextmanager
    def open_file(self, name: str, limit: int) -> Generator[OpenFile]:
        """Open a file in it, for reading at most `limit` bytes.

        Raises:
            NothingToIndex: it is a link, not a regular file, or larger.
            OSError: it does not exist, or may not be read.
        """
        before = self.status(name)
        _check(before, limit)
        try:
            descriptor = os.open(self._named(name), _READ, dir_fd=self.descriptor)
        except OSError as exc:
            raise _link(exc) from exc
        try:
            status = os.fstat(descriptor)
            _check(status, limit)
            if not _RELATIVE and not os.path.samestat(before, status):
                raise NothingToIndex(LINK)
            yield OpenFile(descriptor, status, limit)
        finally:
            os.close(descriptor)

    def create_file(self, name: str, content: bytes) -> None:
        """Write a new file in it, completely or not at all.

        Raises:
            FileExistsError: there is something of this name.
            OSError: it cannot be written.
        """
        descriptor = os.open(self._named(name), _CREATE, 0o644, dir_fd=self.descriptor)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        except BaseException:
            os.unlink(self._named(name), dir_fd=self.descriptor)
            raise

    @contextlib.contextmanager
    def open_folder(self, *names: str) -> Generator["OpenFolder"]:
        """Open the folder below it that `names` lead to, for listing. Raises as `open_folder`."""
        path = os.path.join(self.path, *names)
        if self.descriptor is None:
            with open_folder(path) as folder:
                yield folder
            return
        descriptor = self.descriptor
        try:
            for number, name in enumerate(names, start=1):
                inner = _step(descriptor, name, _LIST if number == len(names) else _TRAVERSE)
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
    """Open a folder by its absolute path; with `listed`, for reading its entries.

    Raises:
        NothingToIndex: the path contains a link, or does not end at a folder.
        OSError: it does not exist, or may not be opened.
    """
    if not _RELATIVE:
        _check_parents(path)
        yield OpenFolder(path, None)
        return
    first, *names = PurePath(path).parts
    descriptor = os.open(first, _LIST if listed and not names else _TRAVERSE)
    try:
        for number, name in enumerate(names, start=1):
            inner = _step(descriptor, name, _LIST if listed and number == len(names) else _TRAVERSE)
            os.close(descriptor)
            descriptor = inner
        yield OpenFolder(path, descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def open_file(path: str, limit: int) -> Generator[OpenFile]:
    """Open a file by its absolute path, for reading at most `limit` bytes.

    Raises:
        NothingToIndex: the path contains a link, it is not a regular file, or larger.
        OSError: it does not exist, or may not be read.
    """
    folder, name = os.path.split(path)
    with open_folder(folder, listed=False) as opened, opened.open_file(name, limit) as file:
        yield file


def status_of(path: str) -> os.stat_result:
    """Return the status of an absolute path, of a link itself. Raises as `open_folder`."""
    folder, name = os.path.split(path)
    with open_folder(folder, listed=False) as opened:
        return opened.status(name)


def read_named(path: str, limit: int, owners: Collection[int] | None = None) -> bytes:
    """Return the content of a file outside workspaces that the user named; follow links to it.

    A file that decides what Allma does must belong to one of `owners`.

    Raises:
        NothingToIndex: it is not a regular file, larger than `limit` bytes, or another user's.
        OSError: it does not exist, or may not be read.
    """
    with open_file(os.path.realpath(path), limit) as file:
        if owners is not None:
            check_owner(file, owners)
        return file.content()


def check_owner(file: OpenFile, owners: Collection[int]) -> None:
    """Raise NothingToIndex unless the file belongs to one of these users."""
    if sys.platform != "win32" and file.status.st_uid not in owners:
        raise NothingToIndex("It belongs to another user.")


def trusted_owners(folder: str) -> frozenset[int]:
    """Return the users whose files may decide something: the user, root, the folder's owner."""
    if sys.platform == "win32":
        return frozenset({0})
    return frozenset({os.geteuid(), 0, os.stat(folder).st_uid})


def _step(descriptor: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags, dir_fd=descriptor)
    except OSError as exc:
        raise _link(exc) from exc


def _link(exc: OSError) -> OSError | NothingToIndex:
    """Convert the error for a link that was not followed, which differs between systems."""
    is_link = exc.errno in (errno.ELOOP, errno.EMLINK, errno.ENOTDIR)
    return NothingToIndex(LINK) if is_link else exc


def _check(status: os.stat_result, limit: int) -> None:
    if _is_link(status):
        raise NothingToIndex(LINK)
    if not stat.S_ISREG(status.st_mode):
        raise NothingToIndex(NOT_REGULAR)
    if status.st_size > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> NothingToIndex:
    return NothingToIndex(f"It is larger than {limit / 1e6:g} MB.")


def _check_parents(path: str) -> None:
    """Raise if a folder of the path is a link, on systems without relative opening."""
    for folder in (path, *map(str, PurePath(path).parents)):
        status = os.lstat(folder)
        if _is_link(status) or not stat.S_ISDIR(status.st_mode):
            raise NothingToIndex(LINK)


def _is_link(status: os.stat_result) -> bool:
    # A junction of Windows is a link too.
    tag = getattr(status, "st_reparse_tag", 0)
    junction = tag != 0 and tag == getattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", -1)
    return stat.S_ISLNK(status.st_mode) or junction
