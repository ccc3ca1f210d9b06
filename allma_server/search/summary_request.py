"""Recognise questions for a summary: of everything, of a folder, or of a file."""

import re
from dataclasses import dataclass

from allma_server.search.overview import is_overview

_POLITE = r"(?:(?:please|can you|could you|would you|bitte|kannst du|peux-tu|puedes|puoi)[,\s]+)*"
_THING = r"(?:(?:the|this|my|our|die|das|den|le|la|el|il)\s+)?"
_KIND = r"(?:files?|folders?|director(?:y|ies)|documents?|datei|ordner|fichier|dossier|archivo)"
_ADJECTIVES = r"(?:(?:short|brief|quick|concise|kurze)\s+)?"
_REQUEST = re.compile(
    rf"{_POLITE}(?:"
    rf"(?:summari[sz]e|sum up|recap|résume[rz]?|resume|resumir|riassumi)\s+(?P<a>.+)"
    rf"|(?:give me |write |show me |make )?(?:an?\s+)?{_ADJECTIVES}"
    rf"(?:summary|overview|gist|tl;?\s?dr)\s+(?:of|over|on|for)\s+(?P<b>.+)"
    rf"|tl;?\s?dr:?\s+(?P<c>.+)"
    rf"|fass(?:e|en sie)?\s+(?P<d>.+?)\s+zusammen"
    rf"|what(?:'s| is) in\s+(?P<e>.+)"
    rf"|what does\s+(?P<f>.+?)\s+(?:say|contain|cover)"
    r")",
    re.I | re.S,
)
_CLEAN = re.compile(rf"^{_THING}(?:{_KIND}\s+)?|\s+{_KIND}$", re.I)
_HERE = re.compile(
    rf"(?:this|these|the|my|our|all|diese[rsn]?|ce|cette)\s*(?:the\s+)?{_KIND}?", re.I
)


@dataclass(frozen=True, slots=True)
class SummaryRequest:
    """What is to be summarised: a file or folder by its name, or all that is in scope."""

    target: str | None = None


def summary_request(question: str) -> SummaryRequest | None:
    """Return what a question wants summarised; None if it asks something else.

    The target is a name that may not exist; then the question is another one.
    """
    asked = " ".join(question.replace("\u2019", "'").split()).strip(" ?.!\uff1f\u3002")
    if is_overview(asked):
        return SummaryRequest()
    found = _REQUEST.fullmatch(asked)
    if found is None:
        return None
    target = next(filter(None, found.groups())).strip(" '\"`\u201c\u201d")
    if _HERE.fullmatch(target):
        return SummaryRequest()
    return SummaryRequest(_CLEAN.sub("", target).strip(" '\"`/\\") or None)
