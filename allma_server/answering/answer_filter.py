"""An answer while it is written: what a model says, and what of it is let through.

A beginning that may become a refusal is held back until its sentence is complete; a refusal is
told in one sentence, whatever words the model found, and what follows it is let through only if
it cites a passage. Only a whole answer can be a refusal: what is cut off is shown as it came.
Every number is checked on its way (`citations.py`), and an answer that cites nothing gets the
number of the passage that says it, where one does (`evidence.py`).
"""

import re
from collections.abc import Sequence

from allma_server.answering.citations import CheckedText, cited_among
from allma_server.answering.evidence import Evidence
from allma_server.answering.refusal import NOT_SAID, declines, may_decline
from allma_server.types import Citation, Grounding, Passage

_SENTENCE_END = re.compile(r"[.!?。！？](?=\s)|\n")
CUT_OFF = " …"
"""What stands where an answer breaks off."""

_CITED = re.compile(r"\[\d")


class AnswerFilter:
    """An answer to `question` from `passages`; `add` and `finish` give what is let through.

    `not_said` is the sentence that a refusal is told in.
    """

    def __init__(
        self, question: str, passages: Sequence[Passage], not_said: str = NOT_SAID
    ) -> None:
        self._not_said = not_said
        self._passages = passages
        self._evidence = Evidence.of(question, passages)
        self._checked = CheckedText(len(passages), self._evidence.corrected)
        self._held: str | None = "" if passages else None
        self._declined = False
        self._cut_off = False
        self._plain = "" if not passages else None

    @property
    def text(self) -> str:
        """The answer as far as it is let through."""
        return self._checked.text if self._plain is None else self._plain

    @property
    def citations(self) -> list[Citation]:
        """All passages, with those that the answer cites marked."""
        return cited_among(self._passages, self._checked.cited)

    @property
    def grounding(self) -> Grounding:
        """What the answer rests on."""
        if self._cut_off:
            return "cut_off"
        if self._plain is not None:
            return "none"
        if self._checked.cited:
            return "cited"
        return "declined" if self._declined else "uncited"

    def add(self, piece: str) -> str:
        """Takes the model's next piece; what may be shown by it."""
        if self._plain is not None:
            self._plain += piece
            return piece
        if self._held is None:
            return self._checked.add(piece)
        self._held += piece
        return self._decided(final=False)

    def finish(self) -> str:
        """The rest, once the model has ended; `text` stays empty if it said nothing."""
        if self._plain is not None:
            return ""
        rest = self._decided(final=True) if self._held is not None else ""
        rest += self._checked.finish()
        return rest + self._attributed()

    def cut_off(self) -> str:
        """The rest of an answer that ended before its time, with a sign that more was to come.

        It is given no source that it does not name: nobody knows what it was to say. Without a
        word of it there is nothing to show.
        """
        rest = ""
        if self._plain is None:
            if not self._declined:
                rest = self._release()
            rest += self._checked.finish()
        if not self.text.strip():
            return ""
        self._cut_off = True
        rest += CUT_OFF
        if self._plain is None:
            self._checked.text += CUT_OFF
        else:
            self._plain += CUT_OFF
        return rest

    def _decided(self, *, final: bool) -> str:
        assert self._held is not None
        if self._declined:
            return self._release() if _CITED.search(self._held) else ""
        end = _SENTENCE_END.search(self._held.lstrip())
        if end is None and may_decline(self._held) and not final:
            return ""
        lead = len(self._held) - len(self._held.lstrip())
        cut = lead + end.end() if end else len(self._held)
        sentence, rest = self._held[:cut], self._held[cut:]
        if end is None and not final:
            return self._release()
        # Small models put a number even to the sentence that they were given for it.
        cites = _CITED.search(sentence) and NOT_SAID.rstrip(".") not in sentence
        if cites or not declines(sentence):
            return self._release()
        self._declined, self._held = True, rest
        return self._checked.add(f"{self._not_said} ")

    def _release(self) -> str:
        held, self._held = self._held or "", None
        return self._checked.add(held.lstrip())

    def _attributed(self) -> str:
        """The source of an answer that names none."""
        if self._checked.cited or self._declined or not self._checked.text:
            return ""
        number = self._evidence.source_of(self._checked.text)
        if number is None:
            return ""
        return self._checked.add(f" [{number}]") + self._checked.finish()
