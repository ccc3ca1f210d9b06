"""Standard output and error, made to survive any terminal, file name and reader."""

import codecs
import errno
import os
import sys
from typing import NoReturn, TextIO

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}

# What stands in for signs where the terminal's encoding has none of them.
_ASCII = (
    {"✓": "+", "✗": "x", "●": "*", "•": "*", "→": "->", "›": ">", "…": "...", "·": "-"}
    | {"–": "-", "—": "-", "─": "-", "━": "-", "▌": "|", "\u00a0": " "}
    | {"“": '"', "”": '"', "‘": "'", "’": "'"}
)

# Control characters of a document or file name would be commands to a terminal.
CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\N{REPLACEMENT CHARACTER}")


def prepare() -> None:
    """Lets both streams write every string: file names byte for byte, the rest as near as can be.

    A file name that is not UTF-8 holds surrogates; they become the bytes they were made from.
    """
    codecs.register_error("allma", _replace)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="allma")


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if 0xDC80 <= ord(character) <= 0xDCFF:
        return bytes([ord(character) - 0xDC00]), error.start + 1
    return _ASCII.get(character, "?"), error.start + 1


def write(text: str) -> None:
    """Writes text to standard output at once, as it is."""
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison] - so it is when closed
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        reader_left()


def reader_left() -> NoReturn:
    """Ends the program quietly: whoever read its output (`| head`) has seen enough.

    SystemExit passes through every `async with` on its way, so nothing is left half done.
    """
    _discard(sys.stdout)
    raise SystemExit(0)


def unwritable(error: OSError) -> bool:
    """Whether it says that a stream took no more, such as a file on a full disk.

    Then nothing more is written to standard output. Failures with files name these, or were told
    as AllmaErrors before they came here.
    """
    failed = error.filename is None and error.errno in _UNWRITABLE
    if failed:
        _discard(sys.stdout)
    return failed


def complain(sentence: str) -> None:
    """A sentence on standard error, if that can be written at all."""
    try:
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    # The interpreter flushes the streams once more when it ends, and would complain then.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)


def unicode() -> bool:
    """Whether standard output takes every character."""
    return (getattr(sys.stdout, "encoding", None) or "ascii").lower().startswith("utf")
