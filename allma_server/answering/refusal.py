"""Recognise refusals, in which a model says that the documents do not contain the answer."""

import re

REFUSAL = "The documents do not say this."
"""The sentence that replaces every refusal, whatever its words."""

_SOURCES = r"(?:sources?|documents?|passages?|texts?|context|information|excerpts?|materials?)"
_NEGATED = (
    r"(?:(?:do|does|did|is|are|was|were|has|have|can|could)(?: not|n['’]t)|cannot|never|no\b|"
    r"none of|nothing|neither|not enough|insufficient|unable to)"
)
_SAY = (
    r"(?:say|said|stat|mention|contain|provid|specif|includ|discuss|describ|giv|cover|address|"
    r"indicat|explain|answer|list|reveal|tell|find|found|available|explicit|have any|enough)"
)
_REFUSAL_PATTERN = re.compile(
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
_REFUSAL_START = re.compile(
    rf"(?:(?:I['’]?m sorry|sorry|unfortunately|apologies|however|based on|according to)\b|"
    rf"(?:the|these|those|this|none of|provided|given|supplied)\b[ ,]*(?:\w+ ){{0,3}}{_SOURCES}|"
    r"there (?:is|are) no|it is (?:not|un)|no\b|not\b|unknown|I\b)",
    re.I,
)
_MIN_LENGTH = 24
"""Characters needed to rule out a refusal: in "There is no", the third word decides."""


def is_refusal(sentence: str) -> bool:
    """Return whether a sentence says that the sources do not contain the answer."""
    return _REFUSAL_PATTERN.search(sentence) is not None


def may_be_refusal(beginning: str) -> bool:
    """Return whether an answer that begins like this may turn out to be a refusal."""
    beginning = beginning.lstrip("*_# \n[]0123456789")
    return len(beginning) < _MIN_LENGTH or _REFUSAL_START.match(beginning) is not None
