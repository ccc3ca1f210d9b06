"""ZIP and TAR archives: each member as a document below its path.

Members are read in memory, within limits for all of them together; nothing is written to disk. What
is not read is listed with the reason at the end.
"""

import time
from contextvars import ContextVar
from pathlib import PurePath, PurePosixPath

from allma_server.documents.builder import DocumentBuilder
from allma_server.documents.readers import reader_of
from allma_server.documents.readers.archive_members import Member, members
from allma_server.errors import AllmaError, NothingToIndex, UnreadableDocument
from allma_server.secrets import is_secret_file
from allma_server.types import (
    IGNORED_ENDINGS,
    IGNORED_FILES,
    IGNORED_FOLDERS,
    Extract,
    Section,
    format_of,
)

MAX_MEMBERS = 2_000
"""Members of one archive that are read."""

MAX_BYTES = 256 << 20
"""Bytes of all members of one archive that are read."""

MAX_DEPTH = 2
"""Archives inside archives that are read: one in one in the file, but none in that."""

_CPU_SECONDS, _SECONDS_PER_BYTE = 8.0, 8.0 / (5 << 20)
"""Less than a worker may take for the file, so that what was read in time is kept."""

_MAX_LISTED = 200
_SKIPPED_FOLDERS = IGNORED_FOLDERS | {"__MACOSX"}

_depth: ContextVar[int] = ContextVar("depth", default=0)
"""How many archives are open around this one, also with other files such as e-mail between."""


def read(data: bytes, path: PurePath) -> Extract:
    """Read the members of an archive that Allma would index if they were files of a folder."""
    if not data:
        raise NothingToIndex("The file is empty.")
    if _depth.get() > MAX_DEPTH - 1:
        raise UnreadableDocument("it is in too many archives")
    token = _depth.set(_depth.get() + 1)
    try:
        return _Archive(len(data)).read(data)
    finally:
        _depth.reset(token)


class _Archive:
    """Collects the documents of one archive within its limits."""

    def __init__(self, size: int) -> None:
        self._document = DocumentBuilder()
        self._end = time.process_time() + _CPU_SECONDS + size * _SECONDS_PER_BYTE
        self._unread: list[str] = []
        self._bytes = 0
        self._seen = self._read = 0

    def read(self, data: bytes) -> Extract:
        try:
            for member in members(data, MAX_BYTES):
                if self._is_ignored(member.path):
                    continue
                self._seen += 1
                if reason := self._add(member):
                    self._unread.append(f"{member.path} ({reason.rstrip('.')})")
        except UnreadableDocument as exc:
            if not self._read:
                raise
            self._unread.append(f"what follows ({exc.message.rstrip('.')})")
        if not self._read:
            raise NothingToIndex(self._nothing_read())
        rows = self._unread[:_MAX_LISTED]
        if more := len(self._unread) - len(rows):
            rows.append(f"and {more} more")
        if rows:
            text = "\n".join(["Not read:", *rows])
            self._document.add_section(text, Section(0, 0, heading=("Members that were not read",)))
        return self._document.build(
            "It has no text.",
            metadata={"members": str(self._seen), "members_read": str(self._read)},
        )

    def _add(self, member: Member) -> str:
        """Append a member; return why it cannot be read, or an empty string."""
        path = PurePosixPath(member.path)
        file_format = format_of(path)
        if member.problem:
            return member.problem
        if is_secret_file(path):
            return "looks like a secret; such files are never read"
        if file_format is None:
            return f"a {path.suffix.lower()} file, which has no text that Allma can read"
        if reason := self._limit(member):
            return reason
        try:
            content = member.content(MAX_BYTES - self._bytes)
            self._bytes += len(content)
            extract = reader_of(file_format)(content, path)
        except MemoryError:
            raise
        except AllmaError as exc:
            return exc.message
        except Exception:
            return "it cannot be read"  # a failing member must not fail the archive
        self._read += 1
        self._document.add_embedded(extract, (member.path,))
        return ""

    def _limit(self, member: Member) -> str:
        """Return the limit that reading a member would exceed, or an empty string."""
        if self._seen > MAX_MEMBERS:
            return f"more than {MAX_MEMBERS} members"
        if self._bytes + member.size > MAX_BYTES:
            return f"more than {MAX_BYTES >> 20} MB in all"
        if time.process_time() > self._end:
            return "reading all of it takes too long"
        return ""

    def _is_ignored(self, path: str) -> bool:
        *folders, name = path.split("/")
        ignored = name in IGNORED_FILES or name.endswith(IGNORED_ENDINGS)
        return ignored or not _SKIPPED_FOLDERS.isdisjoint(folders)

    def _nothing_read(self) -> str:
        if not self._unread:
            return "The archive has no files to read."
        return f"None of its {self._seen} files can be read: {self._unread[0]}."
