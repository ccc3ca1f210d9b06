"""When the documents do not hold the answer: one sentence for it, whatever words a model finds."""

import re

NOT_SAID = "The documents do not say this."

_SOURCES = r"(?:sources?|documents?|passages?|texts?|context|information|excerpts?|materials?)"
_NEGATED = (
    r"(?:(?:do|does|did|is|are|was|were|has|have|can|could)(?: not|n['’]t)|cannot|never|no\b|"
    r"none of|nothing|neither|not enough|insufficient|unable to)"
)
_SAY = (
    r"(?:say|said|stat|mention|contain|provid|specif|includ|discuss|describ|giv|cover|address|"
    r"indicat|explain|answer|list|reveal|tell|find|found|available|explicit|have any|enough)"
)
_DECLINES = re.compile(
    rf"{_SOURCES}\b[^.!?\n]*?\b{_NEGATED}[^.!?\n]*?\b{_SAY}"
    rf"|\b{_NEGATED}\b[^.!?\n]*?\b{_SAY}\w*\b[^.!?\n]*?\b{_SOURCES}"
    rf"|\b(?:none|nothing|neither)\b[^.!?\n]*?\b{_SOURCES}\b[^.!?\n]*?\b{_SAY}"
    rf"|\bno (?:relevant |specific |such )*{_SOURCES}"
    r"|\bI(?:['’]m| am)? (?:do not know|don['’]t know|not sure|cannot answer|can['’]t answer"
    r"|unable to|was unable to|couldn['’]t find|could not find|cannot find|can['’]t find)"
    r"|\b(?:it is|it's|that is|this is) (?:not |un)(?:known|clear|stated|specified|mentioned)\b"
    r"(?! (?:for|as|to|by|in)\b)"
    r"|^\W*(?:unknown|not (?:stated|specified|mentioned|provided|found|available|given))\W*$",
    re.I,
)
_BEGINS = re.compile(
    rf"(?:(?:I['’]?m sorry|sorry|unfortunately|apologies|however|based on|according to)\b|"
    rf"(?:the|these|those|this|none of|provided|given|supplied)\b[ ,]*(?:\w+ ){{0,3}}{_SOURCES}|"
    r"there (?:is|are) no|it is (?:not|un)|no\b|not\b|unknown|I\b)",
    re.I,
)
_UNDECIDED = 24
"""Characters of a beginning that tell too little: "There is no" needs its third word."""


def declines(sentence: str) -> bool:
    """Whether a sentence says that the sources do not hold the answer."""
    return _DECLINES.search(sentence) is not None


def may_decline(beginning: str) -> bool:
    """Whether an answer that begins so may yet become a refusal; worth waiting for its sentence."""
    beginning = beginning.lstrip("*_# \n[]0123456789")
    return len(beginning) < _UNDECIDED or _BEGINS.match(beginning) is not None
