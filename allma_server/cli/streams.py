"""Standard output and error for any terminal, file name and pipe."""

import codecs
import contextlib
import errno
import os
import sys
from collections.abc import Generator
from typing import NoReturn, TextIO

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}

# Replacements for symbols that the terminal's encoding lacks.
_ASCII = (
    {"✓": "+", "✗": "x", "●": "*", "•": "*", "→": "->", "›": ">", "…": "...", "·": "-"}
    | {"–": "-", "—": "-", "─": "-", "━": "-", "▌": "|", "\u00a0": " "}
    | {"“": '"', "”": '"', "‘": "'", "’": "'"}
)

# Control characters in a document or file name would be commands to a terminal.
CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\N{REPLACEMENT CHARACTER}")


def prepare() -> None:
    """Let both streams write every string: file names as their bytes, the rest with replacements.

    A file name that is not UTF-8 has surrogates, which are written as the original bytes.
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


@contextlib.contextmanager
def hidden_interrupt() -> Generator[None]:
    """Have the terminal not show `^C`, which moves what is drawn; not on Windows."""
    try:
        import termios  # late: only for answers in a terminal
    except ImportError:
        yield
        return
    try:
        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
        hidden = [*before]
        hidden[3] = before[3] & ~termios.ECHOCTL
        termios.tcsetattr(terminal, termios.TCSANOW, hidden)
    except (OSError, ValueError, AttributeError, termios.error):  # there is no terminal
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(terminal, termios.TCSANOW, before)


def write(text: str, stream: TextIO | None = None) -> None:
    """Write text unchanged to a stream, by default standard output, and flush it."""
    stream = stream or sys.stdout
    if stream is None:  # pyright: ignore[reportUnnecessaryComparison] - None when it is closed
        return
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        exit_on_closed_pipe()


def exit_on_closed_pipe() -> NoReturn:
    """Exit with success, because the reader of the output (such as `| head`) has closed the pipe.

    SystemExit passes through every `async with`, so all resources are closed.
    """
    _discard(sys.stdout)
    raise SystemExit(0)


def is_write_failure(error: OSError) -> bool:
    """Return whether standard output cannot be written, such as a file on a full disk.

    Later output is discarded then. An error about another file has a file name, or has become an
    AllmaError before.
    """
    failed = error.filename is None and error.errno in _UNWRITABLE
    if failed:
        _discard(sys.stdout)
    return failed


def write_error(sentence: str) -> None:
    """Write a sentence to standard error, if possible."""
    try:
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    # The interpreter flushes the streams at exit, and would print an error.
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)


def supports_unicode() -> bool:
    """Return whether standard output can encode every character."""
    return (getattr(sys.stdout, "encoding", None) or "ascii").lower().startswith("utf")
