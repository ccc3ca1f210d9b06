"""Filter the text of a chat model while it is generated, before it is shown.

The beginning of an answer that may be a refusal is held back until its sentence is complete. A
refusal is replaced by one fixed sentence, and text after it is only shown if it cites a passage.
Only a complete answer can be a refusal; one that is cut off is shown as it came. Each citation is
checked (`citations.py`), and an answer without any gets the number of the passage that supports it,
if there is one (`evidence.py`).
"""

import re
from collections.abc import Sequence

from allma_server.answering.citations import CitationFilter, number_passages
from allma_server.answering.evidence import Evidence
from allma_server.answering.refusal import REFUSAL, is_refusal, may_be_refusal
from allma_server.types import Citation, Grounding, Passage

_SENTENCE_END = re.compile(r"[.!?。！？](?=\s)|\n")
CUT_OFF_MARK = " …"
"""Appended to an answer that was cut off."""

_CITATION = re.compile(r"\[\d")


class AnswerFilter:
    """Filters the answer to `question` from `passages`; `add` and `finish` return what to show.

    Without passages the text is passed through unchanged. `refusal` is the sentence that replaces a
    refusal.
    """

    def __init__(self, question: str, passages: Sequence[Passage], refusal: str = REFUSAL) -> None:
        self._refusal = refusal
        self._passages = passages
        self._evidence = Evidence.from_passages(question, passages)
        self._checked = CitationFilter(len(passages), self._evidence.correct_citation)
        self._held: str | None = "" if passages else None
        self._declined = False
        self._cut_off = False
        self._plain = "" if not passages else None

    @property
    def text(self) -> str:
        """The text shown so far."""
        return self._checked.text if self._plain is None else self._plain

    @property
    def citations(self) -> list[Citation]:
        """All passages, with those that the answer cites marked."""
        return number_passages(self._passages, self._checked.cited)

    @property
    def grounding(self) -> Grounding:
        """What the answer is based on."""
        if self._cut_off:
            return "cut_off"
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
        if self._held is None:
            return self._checked.add(piece)
        self._held += piece
        return self._decide(final=False)

    def finish(self) -> str:
        """Return the rest after the model has ended; `text` stays empty if there was nothing."""
        if self._plain is not None:
            return ""
        rest = self._decide(final=True) if self._held is not None else ""
        rest += self._checked.finish()
        return rest + self._add_source()

    def cut_off(self) -> str:
        """Return the rest of an answer that ended early, with a mark at its end.

        No source is added to it, because what the model was going to write is unknown. An answer
        without any text stays empty.
        """
        rest = ""
        if self._plain is None:
            if not self._declined:
                rest = self._release()
            rest += self._checked.finish()
        if not self.text.strip():
            return ""
        self._cut_off = True
        rest += CUT_OFF_MARK
        if self._plain is None:
            self._checked.text += CUT_OFF_MARK
        else:
            self._plain += CUT_OFF_MARK
        return rest

    def _decide(self, *, final: bool) -> str:
        """Decide whether the text held back is a refusal, and return what can be shown of it."""
        assert self._held is not None
        if self._declined:
            return self._release() if _CITATION.search(self._held) else ""
        end = _SENTENCE_END.search(self._held.lstrip())
        if end is None and may_be_refusal(self._held) and not final:
            return ""
        lead = len(self._held) - len(self._held.lstrip())
        cut = lead + end.end() if end else len(self._held)
        sentence, rest = self._held[:cut], self._held[cut:]
        if end is None and not final:
            return self._release()
        # Small models add a number even to the refusal that the prompt gives them.
        cites = _CITATION.search(sentence) and REFUSAL.rstrip(".") not in sentence
        if cites or not is_refusal(sentence):
            return self._release()
        self._declined, self._held = True, rest
        return self._checked.add(f"{self._refusal} ")

    def _release(self) -> str:
        held, self._held = self._held or "", None
        return self._checked.add(held.lstrip())

    def _add_source(self) -> str:
        """Add the source to an answer that cites none."""
        if self._checked.cited or self._declined or not self._checked.text:
            return ""
        number = self._evidence.find_source(self._checked.text)
        if number is None:
            return ""
        return self._checked.add(f" [{number}]") + self._checked.finish()
