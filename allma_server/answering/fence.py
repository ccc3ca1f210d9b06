"""Remove the boundary lines of a prompt from a model's answer, which small models copy."""

import re

_LINE = re.compile(r"<<(?:source \d+|end) [0-9a-f]{4,16}\b[^\n>]*(?:>>|(?=\n))\n?")
_BEGUN = re.compile(r"<<(?:source \d+|end) [0-9a-f]{4,16}(?:\b[^\n>]*>?)?\Z")
_MAY_BEGIN = re.compile(r"<<(?:source \d* ?|end ?)[0-9a-f]{0,16}\Z")
_STARTS = ("<<source ", "<<end ")


class FenceFilter:
    """Removes boundary lines from a streamed text; `add` and `finish` return the rest of it.

    Models also copy boundaries wrongly, so any such number is taken for one. Text is held back only
    while it may be the beginning of a boundary line.
    """

    def __init__(self) -> None:
        self._pending = ""
        self._skips_newline = False

    def add(self, piece: str) -> str:
        """Add the next piece and return what is no part of a boundary line."""
        self._pending += piece
        if self._skips_newline and self._pending:
            self._pending = self._pending.removeprefix("\n")
            self._skips_newline = False
        shown = ""
        while (at := self._pending.find("<")) >= 0:
            shown += self._pending[:at]
            self._pending = self._pending[at:]
            if line := _LINE.match(self._pending):
                self._pending = self._pending[line.end() :]
                self._skips_newline = not self._pending and not line[0].endswith("\n")
            elif _may_become_line(self._pending):
                return shown
            else:
                shown += self._pending[0]
                self._pending = self._pending[1:]
        shown += self._pending
        self._pending = ""
        return shown

    def finish(self) -> str:
        """Return the rest, unless a boundary line was cut off."""
        rest = "" if _BEGUN.match(self._pending) else self._pending
        self._pending = ""
        return rest


def _may_become_line(text: str) -> bool:
    if _BEGUN.match(text) or _MAY_BEGIN.match(text):
        return True
    return any(start.startswith(text) for start in _STARTS)
