"""Text that is piped to the program."""

import io
import os
import select
import stat
import sys

from allma_server.errors import InvalidArgument

LONGEST_PIPED = 100_000
"""Bytes of a text that is piped to the program."""

FIRST_BYTE_SECONDS = 3.0
"""How long a pipe of which the command line says nothing may be silent: programs that start this
one often leave one open to which nobody writes."""


def piped_text(*, expected: bool = False) -> str | None:
    """Return what is piped to the program; empty if nothing is, None if a pipe stays silent.

    `expected`: the command line says that something is, so that it is waited for.

    Raises:
        InvalidArgument: it is too long, or not text.
    """
    if not expected:
        if not _is_piped():
            return ""
        if not _writes():
            return None
    read = sys.stdin.buffer.read(LONGEST_PIPED + 1)
    if len(read) > LONGEST_PIPED:
        raise InvalidArgument(
            f"The piped text is longer than {LONGEST_PIPED:,} bytes.",
            "Index it as a file, and ask about it.",
        )
    try:
        text = read.decode().strip()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InvalidArgument("What is piped is not text.", "Pipe UTF-8 text.")
    return text


def _is_piped() -> bool:
    if sys.stdin is None or sys.stdin.isatty():  # pyright: ignore[reportUnnecessaryComparison]
        return False
    try:
        kind = os.fstat(sys.stdin.fileno()).st_mode
    except io.UnsupportedOperation:
        return True  # not a file of the system
    except (OSError, ValueError):
        return False  # it is closed
    return stat.S_ISREG(kind) or stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)


def _writes() -> bool:
    """Return whether something arrives in time, or the end of it."""
    try:
        descriptor = sys.stdin.fileno()
    except io.UnsupportedOperation:
        return True
    if sys.platform == "win32":
        return True  # it has no way to wait for a pipe
    return bool(select.select([descriptor], [], [], FIRST_BYTE_SECONDS)[0])
