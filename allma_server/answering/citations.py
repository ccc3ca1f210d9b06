"""Citations that hold: every `[n]` in an answer names a passage the model was given.

The check is made while the answer is written, so that what is read on the screen, what is stored
and what a program gets are the same text.
"""

import re
from collections.abc import Callable, Sequence

from allma_server.types import Citation, Passage

Choose = Callable[[int, str], int | None]
"""From a cited number and the statement before it to the number that belongs there, if any."""

_NUMBERS = r"\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*"
_MARK = re.compile(rf"\s*\[(?:(?:sources?|passages?|documents?)[ :]*)?\^?({_NUMBERS})\]", re.I)
_MAY_BECOME_MARK = re.compile(r"\s*\[[\w ^:,;–-]{0,40}\]?\Z")
_POINT = re.compile(r"\s*\[|`|\s+\Z")
"""Where something may begin that is changed, or that is none of our business."""

_STATEMENT_END = re.compile(r"[.!?。！？](?=\s)|(?<=\S)\n|\[")
_MORE_MARKS = re.compile(r"\A(?:\s*\[[\d\s,;–-]*\]?)*\s*")
_LONGEST_STATEMENT = 300
_LONGEST_CODE = 200
"""Characters that a single backtick is waited for."""


class CheckedText:
    """An answer as it comes: `add` and `finish` give what is certain of it, in order.

    `[1, 2]` and `[1-3]` become `[1][2]` and `[1][2][3]`; a number that names no passage is taken
    out. Marks inside code are left alone: there they are indices.
    """

    def __init__(self, passages: int, choose: Choose = lambda number, _: number) -> None:
        self.text = ""
        self.cited: set[int] = set()
        self._passages = passages
        self._choose = choose
        self._waiting = ""
        self._fenced = False
        self._statement = 0

    def add(self, piece: str) -> str:
        """Takes the next piece; what has become certain by it."""
        self._waiting += piece
        return self._certain(final=False)

    def finish(self) -> str:
        """What was still waited for, but for white space."""
        return self._certain(final=True)

    def _certain(self, *, final: bool) -> str:
        before = len(self.text)
        while self._waiting and self._step(final):
            pass
        return self.text[before:]

    def _step(self, final: bool) -> bool:
        """Lets some of what is waiting through; whether there may be more."""
        if not self.text:
            self._waiting = self._waiting.lstrip()
        if self._fenced:
            return self._fence(final)
        point = _POINT.search(self._waiting)
        self._pass(point.start() if point else len(self._waiting))
        if point is None or not self._waiting:
            return False
        if self._waiting.isspace():
            if final:
                self._waiting = ""
            return False
        return self._code(final) if self._waiting[0] == "`" else self._bracket(final)

    def _pass(self, length: int) -> None:
        self.text += self._waiting[:length]
        self._waiting = self._waiting[length:]

    def _fence(self, final: bool) -> bool:
        end = self._waiting.find("```")
        if end < 0:
            partial = len(self._waiting) - len(self._waiting.rstrip("`"))
            self._pass(len(self._waiting) - (0 if final else partial))
            return False
        self._pass(end + 3)
        self._fenced = False
        return True

    def _code(self, final: bool) -> bool:
        if self._waiting.startswith("```"):
            self._pass(3)
            self._fenced = True
            return True
        if self._waiting in ("`", "``") and not final:
            return False
        code = re.match(r"`[^`\n]*`", self._waiting)
        open_ended = "\n" not in self._waiting and len(self._waiting) < _LONGEST_CODE
        if code is None and open_ended and not final:
            return False
        self._pass(code.end() if code else 1)
        return True

    def _bracket(self, final: bool) -> bool:
        mark = _MARK.match(self._waiting)
        # A link's address may follow, or the punctuation that a removed mark leaves alone.
        undecided = mark.end() == len(self._waiting) if mark else self._may_become_mark()
        if undecided and not final:
            return False
        if mark is None or self._waiting[mark.end() :].startswith("("):
            self._pass(self._waiting.index("[") + 1 if mark is None else mark.end())
            return True
        statement = self._statement_of(mark, final)
        if statement is not None:
            self._cite(mark, statement)
        return statement is not None

    def _may_become_mark(self) -> bool:
        return _MAY_BECOME_MARK.match(self._waiting) is not None

    def _statement_of(self, mark: re.Match[str], final: bool) -> str | None:
        """What a mark stands for: the sentence before it, or after it; None until that is whole."""
        before = _last_statement(self.text[self._statement :])
        if re.search(r"\w", before):
            return before
        after = _MORE_MARKS.sub("", self._waiting[mark.end() :])
        end = _STATEMENT_END.search(after)
        if end is None and not final and len(after) < _LONGEST_STATEMENT:
            return None
        return after[: end.start()] if end else after

    def _cite(self, mark: re.Match[str], statement: str) -> None:
        lead, rest = mark[0][: mark[0].index("[")], self._waiting[mark.end() :]
        # A number that stands for nothing is none of an answer's.
        said = re.search(r"\w", statement) is not None
        known = [n for n in _numbers(mark[1]) if said and 1 <= n <= self._passages]
        chosen = [self._choose(n, statement) for n in known]
        numbers = list(dict.fromkeys(n for n in chosen if n is not None))
        if numbers:
            self.cited.update(numbers)
            self.text += lead + "".join(f"[{n}]" for n in numbers)
            self._statement = len(self.text)
        elif rest[:1].isalnum() or rest[:1] == "[":
            rest = lead + rest
        self._waiting = rest


def cited_among(passages: Sequence[Passage], cited: set[int]) -> list[Citation]:
    """All passages as numbered sources, those in `cited` marked so."""
    return [Citation(n, passage, n in cited) for n, passage in enumerate(passages, start=1)]


def _last_statement(text: str) -> str:
    """The sentence that a mark at the end of `text` stands for."""
    sentences = [s for s in re.split(r"(?<=[.!?。！？])\s+|\n+", text) if s.strip()]
    return sentences[-1] if sentences else ""


def _numbers(marked: str) -> list[int]:
    found: list[int] = []
    for part in re.split(r"[,;]", marked):
        ends = [int(n) for n in re.findall(r"\d+", part)]
        found += range(ends[0], min(ends[-1], ends[0] + 50) + 1) if len(ends) > 1 else ends
    return list(dict.fromkeys(found))
