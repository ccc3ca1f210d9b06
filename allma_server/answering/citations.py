"""Check citations while an answer is generated: every `[n]` names a passage the model was given.

Because the check runs on the stream, the text on the screen, the stored text and the text that
programs receive are the same.
"""

import re
from collections.abc import Callable, Sequence

from allma_server.answering.sentences import LONGEST_END, find_ends, is_whole, last_sentence
from allma_server.types import Citation, Passage

CorrectCitations = Callable[[Sequence[int], str], Sequence[int]]
"""Maps the numbers cited for a statement to those to cite instead; none drops the citation."""

FindSources = Callable[[str], Sequence[int]]
"""Returns the numbers to cite for a sentence for which the model gave none."""

_NUMBERS = r"\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*"
_SINGLE = rf"\[(?:(?:sources?|passages?|documents?)[ :]*)?\^?(?:{_NUMBERS})\]"
_MARK = re.compile(rf"\s*{_SINGLE}(?:(?:\s*,)?\s*{_SINGLE}(?!\())*", re.I)
"""Marks in a row cite several passages for one statement."""
_MAY_CONTINUE = re.compile(r"(?:\s*,)?\s*(?:\[[\w ^:,;–-]{0,40}\]?)?")
_MAY_BECOME_MARK = re.compile(r"\s*\[([a-z]*)[ :]*\^?[\d ,;–-]{0,40}\]?\Z", re.I)
_MARK_WORDS = ("sources", "passages", "documents")
_STOP = re.compile(r"\s*\[|`|\s+\Z")
"""Where plain text ends: a citation mark may begin, or code, in which marks are left alone."""

LONGEST_SENTENCE = 2_000
"""Characters before its end in which a sentence is looked for."""


class CitationFilter:
    """Checks the citations of a streamed answer; `add` and `finish` return the text to show.

    `[1, 2]` and `[1-3]` become `[1][2]` and `[1][2][3]`. A number that names no passage is removed.
    A mark before its statement is moved behind it, since it is checked when the statement is
    complete, and text is not held back for that. A sentence without a mark gets its source, unless
    the one just before it has the same. Marks inside code are left alone, because there they are
    indices.
    """

    def __init__(
        self,
        passages: int,
        correct: CorrectCitations = lambda numbers, _: numbers,
        numbers: Sequence[int] = (),
        find_sources: FindSources = lambda _: (),
    ) -> None:
        """Check the citations of `passages` passages, numbered from 1 and shown as `numbers`."""
        self._numbers = numbers or range(1, passages + 1)
        self.text: str = ""
        self.cited: set[int] = set()
        self._passages = passages
        self._correct = correct
        self._find_sources = find_sources
        self._pending: str = ""
        self._in_fence = False
        self._in_code = False
        self._statement_start = 0
        self._latest: Sequence[int] = ()
        self._leading: list[int] = []

    def add(self, piece: str) -> str:
        """Add the next piece of the answer and return what can be shown now."""
        self._pending += piece
        return self._advance(final=False)

    def finish(self) -> str:
        """Return the rest of the answer, without trailing white space."""
        return self._advance(final=True)

    def take_unused(self) -> list[int]:
        """Return the passages that were named without a statement since, and forget them."""
        unused, self._leading = self._leading, []
        return list(dict.fromkeys(unused))

    def cite_last(self) -> str:
        """Add the source of the last sentence of a finished answer; return the text to show."""
        added = self._add_source(len(self.text))
        return self.text[len(self.text) - added :]

    def _advance(self, *, final: bool) -> str:
        before = len(self.text)
        while self._pending and self._step(final):
            pass
        if final and self._leading:
            self._cite_leading(len(self.text))
        return self.text[before:]

    def _step(self, final: bool) -> bool:
        """Release some of the pending text; return whether more may follow."""
        if not self.text:
            self._pending = self._pending.lstrip()
        if self._in_fence:
            return self._step_fence(final)
        if self._in_code:
            return self._step_inline_code()
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
        shown = len(self.text)
        self.text += self._pending[:length]
        self._pending = self._pending[length:]
        if self._in_fence or self._in_code:
            return
        # What follows a sentence tells that it has ended, so its last letters may have been shown.
        start = max(self._statement_start, shown - LONGEST_END)
        added = 0
        for end in find_ends(self.text, start):
            if end >= shown:
                added += self._end_sentence(end + added)

    def _end_sentence(self, end: int) -> int:
        """Add the numbers of the sentence that ends at `end`; return how long they are."""
        if not self._leading:
            return self._add_source(end)
        before = len(self.text)
        self._cite_leading(end)
        return len(self.text) - before

    def _add_source(self, end: int) -> int:
        """Add the source of the sentence that ends at `end`; return how much longer the text is."""
        since_mark = self._since_mark(end)
        sentence = last_sentence(since_mark)
        if not is_whole(sentence):
            return 0
        found = self._find_sources(sentence)
        is_known = set(found) <= set(self._latest) and "\n" not in since_mark
        self._latest = found
        if not found or is_known:
            return 0
        self.cited.update(found)
        mark = f" {self._marks(found)}"
        self.text = f"{self.text[:end]}{mark}{self.text[end:]}"
        self._statement_start = end + len(mark)
        return len(mark)

    def _since_mark(self, end: int) -> str:
        """Return the text from the last mark to `end`, or the last of it."""
        return self.text[max(self._statement_start, end - LONGEST_SENTENCE) : end]

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
        self._release(1)
        self._in_code = True
        return True

    def _step_inline_code(self) -> bool:
        end = re.search(r"[`\n]", self._pending)
        self._release(end.end() if end else len(self._pending))
        self._in_code = end is None
        return end is not None

    def _step_mark(self, final: bool) -> bool:
        mark = _MARK.match(self._pending)
        # The address of a link may follow, or punctuation that a removed mark must not separate.
        if mark is not None:
            undecided = _MAY_CONTINUE.fullmatch(self._pending, mark.end()) is not None
        else:
            undecided = self._may_become_mark()
        if undecided and not final:
            return False
        if mark is None or self._pending[mark.end() :].startswith("("):
            self._release(self._pending.index("[") + 1 if mark is None else mark.end())
            return True
        self._cite(mark)
        return True

    def _may_become_mark(self) -> bool:
        begun = _MAY_BECOME_MARK.match(self._pending)
        return begun is not None and any(w.startswith(begun[1].lower()) for w in _MARK_WORDS)

    def _cite(self, mark: re.Match[str]) -> None:
        """Replace a mark by the checked numbers, or move it behind the statement that follows."""
        lead, rest = mark[0][: mark[0].index("[")], self._pending[mark.end() :]
        cited = [n for single in re.findall(_SINGLE, mark[0], re.I) for n in _parse_numbers(single)]
        known = [n for n in dict.fromkeys(cited) if 1 <= n <= self._passages]
        if self._leading and self._has_statement():
            self._cite_leading(len(self.text))
        statement = last_sentence(self._since_mark(len(self.text)))
        if not statement:
            self._leading += known
            self._pending = lead + rest.lstrip(" ") if self.text and rest else rest
            return
        marks = self._checked_marks(known, statement)
        if marks:
            self.text += lead + marks
            self._statement_start = len(self.text)
        elif rest[:1].isalnum() or rest[:1] == "[":
            rest = lead + rest
        self._pending = rest

    def _has_statement(self) -> bool:
        return re.search(r"\w", self.text[self._statement_start :]) is not None

    def _cite_leading(self, end: int) -> None:
        """Add the marks that came before the statement that ends at `end`."""
        statement = self.text[self._statement_start : end]
        if not re.search(r"\w", statement):
            return
        marks = self._checked_marks(self._leading, statement)
        self._leading = []
        if marks:
            after = self.text[end:]
            self.text = f"{self.text[:end]} {marks}"
            self._statement_start = len(self.text)
            self.text += after
        else:
            self._statement_start = end

    def _checked_marks(self, numbers: Sequence[int], statement: str) -> str:
        """Return the numbers that a statement may cite, each in brackets."""
        valid = self._correct(list(dict.fromkeys(numbers)), statement) if numbers else ()
        self.cited.update(valid)
        self._latest = valid
        return self._marks(valid)

    def _marks(self, cited: Sequence[int]) -> str:
        return "".join(f"[{self._numbers[n - 1]}]" for n in cited)


def number_passages(passages: Sequence[Passage], cited: set[int]) -> list[Citation]:
    """Return all passages as sources numbered from 1, those in `cited` marked as cited."""
    return [Citation(n, passage, n in cited) for n, passage in enumerate(passages, start=1)]


def _parse_numbers(content: str) -> list[int]:
    numbers: list[int] = []
    for part in re.split(r"[,;]", content):
        ends = [int(n) for n in re.findall(r"\d+", part)]
        numbers += range(ends[0], min(ends[-1], ends[0] + 50) + 1) if len(ends) > 1 else ends
    return list(dict.fromkeys(numbers))
