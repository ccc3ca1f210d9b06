"""Check citations while an answer is generated: every `[n]` names a passage the model was given.

Because the check runs on the stream, the text on the screen, the stored text and the text that
programs receive are the same.
"""

import re
from collections.abc import Callable, Sequence

from allma_server.types import Citation, Passage

CorrectCitations = Callable[[Sequence[int], str], Sequence[int]]
"""Maps the numbers cited for a statement to those to cite instead; none drops the citation."""

_NUMBERS = r"\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*"
_SINGLE = rf"\[(?:(?:sources?|passages?|documents?)[ :]*)?\^?(?:{_NUMBERS})\]"
_MARK = re.compile(rf"\s*{_SINGLE}(?:(?:\s*,)?\s*{_SINGLE}(?!\())*", re.I)
"""Marks in a row cite several passages for one statement."""
_MAY_CONTINUE = re.compile(r"(?:\s*,)?\s*(?:\[[\w ^:,;–-]{0,40}\]?)?")
_MAY_BECOME_MARK = re.compile(r"\s*\[[\w ^:,;–-]{0,40}\]?\Z")
_STOP = re.compile(r"\s*\[|`|\s+\Z")
"""Where plain text ends: a citation mark may begin, or code, in which marks are left alone."""

_STATEMENT_END = re.compile(r"[.!?。！？](?=\s)|(?<=\S)\n|\[")
_MORE_MARKS = re.compile(r"\A(?:\s*\[[\d\s,;–-]*\]?)*\s*")
_MAX_STATEMENT_LENGTH = 300
_MAX_CODE_LENGTH = 200
"""Characters to wait for the backtick that closes inline code."""


class CitationFilter:
    """Checks the citations of a streamed answer; `add` and `finish` return the text to show.

    `[1, 2]` and `[1-3]` become `[1][2]` and `[1][2][3]`. A number that names no passage is removed.
    Marks inside code are left alone, because there they are indices.
    """

    def __init__(
        self, passages: int, correct: CorrectCitations = lambda numbers, _: numbers
    ) -> None:
        """`passages`: how many there are, numbered from 1."""
        self.text = ""
        self.cited: set[int] = set()
        self._passages = passages
        self._correct = correct
        self._pending = ""
        self._in_fence = False
        self._statement_start = 0

    def add(self, piece: str) -> str:
        """Add the next piece of the answer and return what can be shown now."""
        self._pending += piece
        return self._advance(final=False)

    def finish(self) -> str:
        """Return the rest of the answer, without trailing white space."""
        return self._advance(final=True)

    def _advance(self, *, final: bool) -> str:
        before = len(self.text)
        while self._pending and self._step(final):
            pass
        return self.text[before:]

    def _step(self, final: bool) -> bool:
        """Release some of the pending text; return whether more may follow."""
        if not self.text:
            self._pending = self._pending.lstrip()
        if self._in_fence:
            return self._step_fence(final)
        stop = _STOP.search(self._pending)
        self._release(stop.start() if stop else len(self._pending))
        if stop is None or not self._pending:
            return False
        if self._pending.isspace():
            if final:
                self._pending = ""
            return False
        return self._step_code(final) if self._pending[0] == "`" else self._step_mark(final)

    def _release(self, length: int) -> None:
        self.text += self._pending[:length]
        self._pending = self._pending[length:]

    def _step_fence(self, final: bool) -> bool:
        end = self._pending.find("```")
        if end < 0:
            partial = len(self._pending) - len(self._pending.rstrip("`"))
            self._release(len(self._pending) - (0 if final else partial))
            return False
        self._release(end + 3)
        self._in_fence = False
        return True

    def _step_code(self, final: bool) -> bool:
        if self._pending.startswith("```"):
            self._release(3)
            self._in_fence = True
            return True
        if self._pending in ("`", "``") and not final:
            return False
        code = re.match(r"`[^`\n]*`", self._pending)
        may_close = "\n" not in self._pending and len(self._pending) < _MAX_CODE_LENGTH
        if code is None and may_close and not final:
            return False
        self._release(code.end() if code else 1)
        return True

    def _step_mark(self, final: bool) -> bool:
        mark = _MARK.match(self._pending)
        # The address of a link may follow, or punctuation that a removed mark must not separate.
        if mark is not None:
            undecided = _MAY_CONTINUE.fullmatch(self._pending, mark.end()) is not None
        else:
            undecided = _MAY_BECOME_MARK.match(self._pending) is not None
        if undecided and not final:
            return False
        if mark is None or self._pending[mark.end() :].startswith("("):
            self._release(self._pending.index("[") + 1 if mark is None else mark.end())
            return True
        statement = self._statement_of(mark, final)
        if statement is not None:
            self._cite(mark, statement)
        return statement is not None

    def _statement_of(self, mark: re.Match[str], final: bool) -> str | None:
        """Return the sentence before a mark, or else after it; None until that is complete."""
        before = _last_statement(self.text[self._statement_start :])
        if re.search(r"\w", before):
            return before
        after = _MORE_MARKS.sub("", self._pending[mark.end() :])
        end = _STATEMENT_END.search(after)
        if end is None and not final and len(after) < _MAX_STATEMENT_LENGTH:
            return None
        return after[: end.start()] if end else after

    def _cite(self, mark: re.Match[str], statement: str) -> None:
        lead, rest = mark[0][: mark[0].index("[")], self._pending[mark.end() :]
        # A number without a statement cites nothing.
        has_words = re.search(r"\w", statement) is not None
        cited = [n for single in re.findall(_SINGLE, mark[0], re.I) for n in _parse_numbers(single)]
        known = [n for n in dict.fromkeys(cited) if has_words and 1 <= n <= self._passages]
        numbers: Sequence[int] = self._correct(known, statement) if known else ()
        if numbers:
            self.cited.update(numbers)
            self.text += lead + "".join(f"[{n}]" for n in numbers)
            self._statement_start = len(self.text)
        elif rest[:1].isalnum() or rest[:1] == "[":
            rest = lead + rest
        self._pending = rest


def number_passages(passages: Sequence[Passage], cited: set[int]) -> list[Citation]:
    """Return all passages as sources numbered from 1, those in `cited` marked as cited."""
    return [Citation(n, passage, n in cited) for n, passage in enumerate(passages, start=1)]


def _last_statement(text: str) -> str:
    """Return the last sentence of a text; a mark at its end refers to it."""
    sentences = [s for s in re.split(r"(?<=[.!?。！？])\s+|\n+", text) if s.strip()]
    return sentences[-1] if sentences else ""


def _parse_numbers(content: str) -> list[int]:
    numbers: list[int] = []
    for part in re.split(r"[,;]", content):
        ends = [int(n) for n in re.findall(r"\d+", part)]
        numbers += range(ends[0], min(ends[-1], ends[0] + 50) + 1) if len(ends) > 1 else ends
    return list(dict.fromkeys(numbers))
