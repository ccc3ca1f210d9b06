"""A terminal in which the program runs, seen as its user sees it."""

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Generator
from contextlib import contextmanager

from tests.e2e.cli.home import PROGRAM, Home

ESCAPES = re.compile(r"\x1b\][^\x1b\x07]*(?:\x1b\\|\x07)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z=>]")
SECONDS = 60


class Terminal:
    """The user's side of a terminal: keys in, everything that was drawn out."""

    def __init__(self, side: int, process: subprocess.Popen[bytes]) -> None:
        self._side = side
        self.process = process
        self.drawn = b""

    @property
    def text(self) -> str:
        """What was drawn, without escape sequences."""
        return ESCAPES.sub("", self.drawn.decode(errors="replace")).replace("\r", "")

    @property
    def lines(self) -> list[str]:
        """The lines as they are at last: what was drawn over is left out."""
        drawn = self.drawn.decode(errors="replace").replace("\r\n", "\n")
        return [ESCAPES.sub("", line.rpartition("\r")[2]) for line in drawn.split("\n")]

    def send(self, keys: str) -> None:
        os.write(self._side, keys.encode())

    def expect(self, pattern: str) -> str:
        """Wait until the text matches a pattern; return the match, and forget what was before."""
        until = time.monotonic() + SECONDS
        while not (found := re.search(pattern, self.text, re.S)):
            assert time.monotonic() < until, f"no {pattern!r} in:\n{self.text}"
            assert self._read(), f"the program ended without {pattern!r}:\n{self.text}"
        self.drawn = b""
        return found[0]

    def end(self) -> int:
        """Wait for the end of the program; return its exit code."""
        while self._read():
            pass
        return self.process.wait(SECONDS)

    def _read(self) -> bytes:
        assert select.select([self._side], [], [], SECONDS)[0], f"it stands still:\n{self.text}"
        try:
            read = os.read(self._side, 65_536)
        except OSError:  # so Linux reports that nobody has the terminal open
            read = b""
        if b"\x1b[6n" in read:
            self.send("\x1b[1;1R")  # where the cursor is, as terminals answer
        self.drawn += read
        return read


@contextmanager
def terminal(
    home: Home, *arguments: str, columns: int = 80, cwd: str | None = None, **changes: str
) -> Generator[Terminal]:
    """Start the program in a terminal of its own."""
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = home.environment({"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **changes})
    environment = {k: v for k, v in environment.items() if k not in ("COLUMNS", "NO_COLOR", *_HOST)}
    environment |= changes
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=cwd or home.path,
        env=environment,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(its)
    try:
        yield Terminal(ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


_HOST = ("VTE_VERSION", "KITTY_WINDOW_ID", "TERM_PROGRAM", "VISUAL", "EDITOR")
"""Variables by which the terminal of whoever runs the tests would be seen."""


def on_terminal(home: Home, *arguments: str, columns: int = 80, **changes: str) -> Terminal:
    """Run the program in a terminal until it ends."""
    with terminal(home, *arguments, columns=columns, **changes) as opened:
        opened.end()
    return opened
