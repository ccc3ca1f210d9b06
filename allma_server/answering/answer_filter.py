"""Filter the text of a chat model while it is generated, before it is shown.

Only the first two words of the refusal that the prompt asks for, and a yes, are held back; what was
shown is never taken back. If a sentence decides the question (`yes_or_no.py`) and says no, it is
quoted first, and what the model says follows if it agrees and adds something; if it says yes, it is
quoted instead of the refusal, three more words of which are held. Each citation is checked when its
sentence is complete (`citations.py`). At the end of a complete answer, `grounding` tells what the
passages support of it: other refusals are recognised (`refusal.py`), an answer without citations
gets the number of the passage that supports it (`evidence.py`), and figures that no passage has, or
passages that disagree (`contradictions.py`), are marked.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto
from functools import cached_property

from allma_server.answering.citations import CitationFilter, number_passages
from allma_server.answering.contradictions import find_contradiction
from allma_server.answering.evidence import Evidence
from allma_server.answering.fence import FenceFilter
from allma_server.answering.refusal import (
    OPENING,
    OPENING_OF_LIMITED,
    denies_saying,
    find_refusal_end,
    is_exact_refusal,
    is_refusal,
    may_become_refusal,
    may_deny_saying,
    text_after_opening,
)
from allma_server.answering.sentences import split_sentences
from allma_server.answering.statements import (
    count_negations,
    is_negated,
    read_statement,
)
from allma_server.answering.word_comparison import read_question
from allma_server.answering.yes_or_no import (
    denies,
    find_deciding_sentence,
    find_nearest_sentence,
    may_become_yes,
    text_after_yes,
)
from allma_server.types import Citation, Grounding, Passage

CUT_OFF_MARK = " …"
"""Appended to an answer that was cut off."""

MAX_REFUSAL = 100
"""Characters of text after which an answer is no longer the refusal of the prompt."""

_CITATION = re.compile(r"\[\d")
_SENTENCE_END = re.compile(r"[.!?][\"”’)]*(?:\s*\[[\d, ]+\][.!?]?)*\s+|[。！？]|\n")
_NUMBERS = re.compile(r"\s*\[\d+\]")


class _State(Enum):
    """What happens to the model's text."""

    OPENING = auto()
    """It is held while it may become the refusal of the prompt, or a yes."""
    SHOWN = auto()
    AFTER_REFUSAL = auto()
    """It is held until it cites a passage, and dropped if it never does."""
    AFTER_QUOTE = auto()
    """Its first sentence is held, and shown if it agrees with the quote."""
    DROPPED = auto()
    """It does not agree with the quote."""


class AnswerFilter:
    """Filters the answer to `question` from `passages`; `add` and `finish` return what to show.

    Without passages the text is passed through unchanged.
    """

    def __init__(
        self,
        question: str,
        passages: Sequence[Passage],
        *,
        is_limited: bool = False,
        is_summary: bool = False,
        numbers: Sequence[int] = (),
    ) -> None:
        """Filter the answer to `question` from `passages`.

        Args:
            question: as it was asked.
            passages: those in the prompt, which the model numbers from 1.
            is_limited: whether the documents may contain more than was found, so that a refusal
                says less.
            is_summary: whether a sentence may be from passages of several documents, and need not
                have words of the question.
            numbers: the number to show for each passage, if it is another one.
        """
        self._opening = OPENING_OF_LIMITED if is_limited else OPENING
        self._passages = passages
        self._question = question
        self._is_summary = is_summary
        self._checked = CitationFilter(
            len(passages), self._correct_citations, numbers, self._find_sources
        )
        self._state = _State.OPENING
        self._held = ""
        self._fence = FenceFilter()
        self._declined = False
        self._final: Grounding | None = None
        self._plain = "" if not passages else None
        self.disagreeing: tuple[int, int] | None = None
        """The numbers of two passages that contradict each other on the answer."""
        self.overlooked: tuple[int, str] | None = None
        """The number and sentence of a passage that decides a question answered otherwise."""

    @cached_property
    def _evidence(self) -> Evidence:
        # Read when it is first needed, since the request to the model does not wait for it.
        # What a file says need not be in the words in which its summary was asked for.
        asked = "" if self._is_summary else self._question
        return Evidence.from_passages(asked, self._passages)

    @cached_property
    def _decision(self) -> tuple[int, str] | None:
        return find_deciding_sentence(self._question, self._passages)

    @property
    def _is_denied(self) -> bool:
        """Whether the sentence that decides the question says no."""
        return self._decision is not None and denies(self._decision[1], self._question)

    @property
    def _is_affirmed(self) -> bool:
        """Whether the sentence that decides the question says yes."""
        if self._decision is None:
            return False
        negations = count_negations(self._decision[1]) - count_negations(self._question)
        return negations % 2 == 0

    @property
    def text(self) -> str:
        """The text shown so far."""
        return self._checked.text if self._plain is None else self._plain

    @property
    def cited(self) -> set[int]:
        """The passages that the answer cites, as the model numbers them."""
        return self._checked.cited

    @property
    def plain_text(self) -> str:
        """The text without its citations."""
        return _NUMBERS.sub("", self.text)

    @property
    def citations(self) -> list[Citation]:
        """All passages, with those that the answer cites marked."""
        return number_passages(self._passages, self._checked.cited)

    @property
    def grounding(self) -> Grounding:
        """What the answer is based on."""
        if self._final is not None:
            return self._final
        if self._plain is not None:
            return "none"
        if self._checked.cited:
            return "cited"
        return "declined" if self._declined else "uncited"

    def add(self, piece: str) -> str:
        """Add the model's next piece and return what can be shown now."""
        if self._plain is not None:
            self._plain += piece
            return piece
        return self._add(self._fence.add(piece))

    def finish(self) -> str:
        """Return the rest after the model has ended; `text` stays empty if there was nothing."""
        if self._plain is not None:
            return ""
        rest = self._add(self._fence.finish())
        if self._state is _State.AFTER_QUOTE:
            rest += self._go_on(self._held, "")
        elif self._state is _State.OPENING:
            rest += self._release()
        rest += self._checked.finish()
        if not self.text:
            rest += self._quote_named()
        if find_refusal_end(f"{self.text}.") == len(self.text) + 1:
            rest += self._watch(".")
        rest += self._add_source()
        self._final = self._judge()
        return rest

    def cut_off(self) -> str:
        """Return the rest of an answer that ended early, with a mark at its end.

        No source is added to it, because what the model was going to write is unknown. An answer
        without any text stays empty.
        """
        rest = ""
        if self._plain is None:
            rest = self._add(self._fence.finish())
            if self._state is _State.OPENING:
                rest += self._release()
            rest += self._checked.finish()
        if not self.text.strip():
            return ""
        self._final = "cut_off"
        rest += CUT_OFF_MARK
        if self._plain is None:
            self._checked.text += CUT_OFF_MARK
        else:
            self._plain += CUT_OFF_MARK
        return rest

    def _add(self, piece: str) -> str:
        """Add text without boundary lines and return what can be shown of it."""
        match self._state:
            case _State.OPENING:
                return self._add_opening(piece)
            case _State.SHOWN:
                return self._watch(piece)
            case _State.AFTER_REFUSAL:
                self._held += piece
                return self._release() if _CITATION.search(self._held) else ""
            case _State.AFTER_QUOTE:
                return self._add_after_quote(piece)
            case _State.DROPPED:
                return ""

    def _add_opening(self, piece: str) -> str:
        """Hold what may become a refusal; begin with a quote where a sentence says no.

        A yes is left out unless a sentence says it: small models put it before a sentence that
        says no ("Yes, the files are not backed up.").
        """
        if piece.strip() and self._decision and self._is_denied:
            return self._quote(*self._decision, then=_State.AFTER_QUOTE) + self._add(piece)
        self._held += piece
        # Elsewhere the same letters are other words: "SIM, eSIM and MMS".
        if read_question(self._question) is not None:
            if may_become_yes(self._held):
                return ""
            if not self._is_affirmed and (rest := text_after_yes(self._held)) is not None:
                self._state = _State.SHOWN
                return self._watch(f"{rest[0].upper()}{rest[1:]}")
        # Small models add marks even to the refusal that the prompt gives them.
        rest = text_after_opening(self._held)
        if rest is None:
            return "" if may_become_refusal(self._held) else self._release()
        if self._decision is not None:
            if denies_saying(rest):
                return self._quote(*self._decision, then=_State.DROPPED)
            if may_deny_saying(rest):
                return ""
        self._state = _State.SHOWN
        return self._checked.add(self._opening) + self._watch(rest)

    def _quote(self, number: int, sentence: str, *, then: _State) -> str:
        """Show the sentence that decides the question."""
        self._held, self._state = "", then
        return self._checked.add(f'{self._opening} say: "{sentence}" [{number}]')

    def _quote_named(self) -> str:
        """Show what a passage says, where a model names it and says nothing."""
        numbers = self._checked.take_unused()
        if len(numbers) != 1:
            return ""
        sentence = find_nearest_sentence(self._question, self._passages[numbers[0] - 1])
        if sentence is None:
            return ""
        return self._quote(numbers[0], sentence, then=_State.SHOWN) + self._checked.finish()

    def _add_after_quote(self, piece: str) -> str:
        """Hold the first sentence of the model that follows a quote."""
        self._held += piece
        end = _SENTENCE_END.search(self._held)
        if end is None:
            return ""
        return self._go_on(self._held[: end.end()], self._held[end.end() :])

    def _go_on(self, first: str, rest: str) -> str:
        """Show what the model says after a quote, unless its first sentence does not agree."""
        if not is_negated(first) or is_refusal(first, self._evidence):
            self._state = _State.DROPPED
            return ""
        self._state = _State.SHOWN
        first = (text_after_yes(first) or first).lstrip()
        known = read_statement(f"{self.text} {self._question}").terms
        if read_statement(_NUMBERS.sub("", first)).terms <= known:
            return self._checked.add(f" {rest}")
        return self._checked.add(f" {first[0].upper()}{first[1:]}{rest}")

    def _watch(self, piece: str) -> str:
        """Show a piece; if it completes the refusal, hold what follows."""
        before = len(self._checked.text)
        may_end = before < MAX_REFUSAL and not self._declined
        end = find_refusal_end(self._checked.text + piece) if may_end else None
        if end is None or end <= before:
            return self._checked.add(piece)
        self._declined, self._held, self._state = True, "", _State.AFTER_REFUSAL
        shown = self._checked.add(piece[: end - before])
        return shown + self._add(piece[end - before :])

    def _release(self) -> str:
        """Show what was held and what follows."""
        self._state = _State.SHOWN
        return self._checked.add(self._held if self._declined else self._held.lstrip())

    def _correct_citations(self, numbers: Sequence[int], text: str) -> Sequence[int]:
        return () if is_exact_refusal(text) else self._evidence.correct_citations(numbers, text)

    def _find_sources(self, sentence: str) -> Sequence[int]:
        """Return the sources of a sentence for which the model gave none."""
        if self._is_refusal():
            return ()
        return self._evidence.find_sources(sentence, is_summary=self._is_summary)

    def _add_source(self) -> str:
        """Add the source of an answer that cites none, or else of its last sentence."""
        if self._is_refusal() or not self._checked.text:
            return ""
        if not self._checked.cited:
            number = self._evidence.find_source(self._checked.text)
            if number is not None:
                return self._checked.add(f" [{number}]") + self._checked.finish()
        return self._checked.cite_last()

    def _is_refusal(self) -> bool:
        """Return whether the text up to now says first that the documents do not answer."""
        return self._declined or is_refusal(self.plain_text, self._evidence)

    def _judge(self) -> Grounding | None:
        """Return what a complete answer is based on; None if nothing special."""
        text = self.plain_text
        if not self._checked.cited:
            # A small model overlooks a "not".
            self.overlooked = self._decision
            return "declined" if self._is_refusal() else None
        self.disagreeing = find_contradiction(text, self._passages)
        if self.disagreeing is not None:
            return "disputed"
        unknown = any(map(self._evidence.has_unknown_figure, split_sentences(text)))
        return "partial" if unknown else None
