"""The members of ZIP and TAR archives, in the order of the archive, each read only on request."""

import bz2
import gzip
import io
import lzma
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from allma_server.errors import UnreadableDocument

_DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError,
    NotImplementedError,
)  # fmt: skip
_PASSWORD = "a password is needed to open it"
_TOO_MUCH = "The archive unpacks to too much."
_LINK = "a link; links are not followed"
_OUTSIDE = "its path leads out of the archive"


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive: its path, its declared size, and why it must not be read, if so."""

    path: str
    size: int
    problem: str
    reader: Callable[[int], bytes]

    def content(self, limit: int) -> bytes:
        """Return the content.

        Raises:
            UnreadableDocument: it is damaged, or larger than `limit` bytes.
        """
        try:
            data = self.reader(limit + 1)
        except RuntimeError as exc:
            raise UnreadableDocument(_PASSWORD) from exc
        except _DAMAGED as exc:
            raise UnreadableDocument("it is damaged") from exc
        if len(data) > limit:
            raise UnreadableDocument(f"it is larger than the {limit >> 20} MB that are left")
        return data


def members(data: bytes, limit: int) -> Iterator[Member]:
    """Yield the files in an archive; a member must be read before the next one is taken.

    Raises:
        UnreadableDocument: it is no archive, damaged, or unpacks to more than `limit` bytes.
    """
    found = False
    try:
        if _is_zip(data):
            yield from _zip_members(data)
        else:
            for member in _tar_members(data, limit):
                found = True
                yield member
    except tarfile.ReadError as exc:
        if found:
            raise UnreadableDocument(f"The archive is damaged: {exc}.") from exc
        raise UnreadableDocument("It is not an archive, although its name says so.") from exc
    except _DAMAGED as exc:
        raise UnreadableDocument(f"The archive is damaged: {exc}.") from exc


def _is_zip(data: bytes) -> bool:
    """Whether it is a ZIP archive, also behind a program that unpacks it."""
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return True
    return data[257:262] != b"ustar" and zipfile.is_zipfile(io.BytesIO(data))


def _zip_members(data: bytes) -> Iterator[Member]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            path, outside = _safe(info.filename)
            problem = _OUTSIDE if outside else _PASSWORD if info.flag_bits & 1 else ""
            if (info.external_attr >> 16) & 0o170000 == 0o120000:
                problem = _LINK
            yield Member(path, info.file_size, problem, partial(_read_zip, archive, info))


def _read_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, count: int) -> bytes:
    with archive.open(info) as file:
        return file.read(count)


def _tar_members(data: bytes, limit: int) -> Iterator[Member]:
    # As a stream, because a step back in a compressed file would unpack it again.
    with tarfile.open(fileobj=_Limited(_unpacked(data), limit), mode="r|") as archive:
        for info in archive:
            if info.size > limit:
                # To pass over what is not there, the library counts through all of it.
                raise UnreadableDocument(_TOO_MUCH)
            if info.isdir():
                continue
            path, outside = _safe(info.name)
            problem = _OUTSIDE if outside else "" if info.isreg() else "not a regular file"
            if info.issym() or info.islnk():
                problem = _LINK
            yield Member(path, info.size, problem, partial(_read_tar, archive, info))


def _unpacked(data: bytes) -> "_Readable":
    file = io.BytesIO(data)
    if data.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if data.startswith(b"BZh"):
        return bz2.BZ2File(file)
    return lzma.LZMAFile(file) if data.startswith(b"\xfd7zXZ") else file


def _read_tar(archive: tarfile.TarFile, info: tarfile.TarInfo, count: int) -> bytes:
    file = archive.extractfile(info)
    return b"" if file is None else file.read(count)


def _safe(path: str) -> tuple[str, bool]:
    """Return the path of a member with slashes, and whether it leads out of the archive."""
    path = path.replace("\\", "/")
    normal = posixpath.normpath(path)
    outside = normal.startswith(("/", "../")) or normal == ".." or ":" in normal.split("/")[0]
    return normal.lstrip("/") or path, outside


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Limited(io.RawIOBase):
    """A stream that refuses to unpack to more than a number of bytes."""

    def __init__(self, file: _Readable, limit: int) -> None:
        self._file = file
        self._left = limit

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise UnreadableDocument(_TOO_MUCH)
        return data
