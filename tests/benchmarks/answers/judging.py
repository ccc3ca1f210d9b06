"""Judge answers by fixed rules: gold strings, figures, negations; never by a model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from allma_server.types import Passage
from tests.benchmarks.answers.sets import Asked

_REFUSAL = re.compile(
    r"the documents (?:found so far )?do not say this"
    r"|\bI (?:do not|don['’]t|cannot|can['’]t|am unable|could not|couldn['’]t)"
    r"(?: know| say| tell| answer| determine| find| provide| to )"
    r"|\b(?:passages?|sources?|documents?|text|context|information)\b[^.]{0,60}"
    r"\b(?:do(?:es)? not|don['’]t|doesn['’]t|is not|are not|no)\b[^.]{0,40}"
    r"\b(?:say|mention|contain|provide|specif|include|state|give|answer|address|discuss|available)"
    r"|\b(?:not|no|isn['’]t|aren['’]t)\b[^.]{0,40}"
    r"\b(?:mentioned|specified|provided|stated|given|available|included|information|listed)\b"
    r"[^.]{0,40}\b(?:passages?|sources?|documents?|text|context|information|about)\b"
    r"|\b(?:is|was|are) (?:not|un)[ -]?(?:known|specified|mentioned|stated|provided|clear)\b"
    r"|\bno information\b|\bnot enough information\b|\binsufficient information\b"
    r"|^\W*(?:unknown|not (?:stated|specified|mentioned|provided|found|available|given))\W*$",
    re.I,
)
_NO = re.compile(
    r"\b(?:no|not|cannot|never|neither|none|nor|without|only|exclud\w+|forbidden|prohibited|"
    r"reject\w*|unsupported|unsuitable|unavailable|closed)\b|n['’]t\b",
    re.I,
)
_DIFFERENCE = re.compile(
    r"contradict|conflict|inconsisten|discrepan|disagree|differ|on the other hand|"
    r"(?:source|passage) \[?\d\]? says .* (?:source|passage) \[?\d\]? says",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one answer came to.

    `support`: for each citation, whether the cited passage holds the answer; empty if the question
    has none.
    """

    right: bool
    refused: bool
    cited: bool
    support: tuple[bool, ...]


def judge(asked: Asked, text: str, passages: Sequence[Passage], *, flagged: bool) -> Judgement:
    """Judge the answer `text` from `passages`; `flagged`: it came with a mark of contradiction."""
    if asked.kind == "negative":
        refused = (
            re.search(r"do(?:es)? not say this|\bI (?:do not|don['’]t) know", text) is not None
        )
        says_no = _NO.search(text) is not None and not re.match(r"\W*yes\b", text, re.I)
        right = says_no and not refused
    elif asked.kind in ("contradiction", "control"):
        refused = refuses(text)
        right = (flagged or _DIFFERENCE.search(text) is not None) == (asked.kind != "control")
    else:
        refused = refuses(text)
        right = asked.is_in(text) and not refused
    numbers = {int(n) for n in re.findall(r"\[(\d+)\]", text)} - {0}
    holds = tuple(
        n <= len(passages) and (not asked.gold or asked.is_in(passages[n - 1].text))
        for n in sorted(numbers)
    )
    if asked.kind == "unanswerable":
        holds = ()
    return Judgement(right, refused, any(holds), holds)


def refuses(text: str) -> bool:
    """Return whether an answer says that it cannot be answered."""
    return _REFUSAL.search(text) is not None
