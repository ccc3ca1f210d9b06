"""Overview questions: "what is this project about", "what does billing do", "how do I get started".

Their words ("project", "about", "start") are everywhere, and the text that answers them seldom has
them: the author put it where every reader begins, at the beginning of a README, near the top of the
folder. So the place of a passage counts here. A question about one part ("what does billing do")
is answered by the README of the folder, or with the title, that bears its name.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath

from allma_server.types import Passage

_THING = (
    "project|repo|repository|library|package|app|application|tool|program|software|codebase|code"
    "|folder|workspace"
)
_OVERVIEW = re.compile(
    rf"what(?:'s| is| are) (?:this|these|it|the|my|our) ?(?:{_THING})?(?: all)?(?: about| for)?"
    rf"|what (?:is|does) (?:this|the|my|our) (?:{_THING}) (?:about|for|do|used for)"
    r"|what does (?:this|it) do"
    rf"|(?:give me an |an )?overview(?: (?:of|over) (?:this|the) (?:{_THING}))?"
    rf"|(?:describe|explain|summari[sz]e) (?:this|the) (?:{_THING})"
    r"|(?:worum geht es (?:hier|in diesem \w+|bei diesem \w+)|was (?:macht|ist) (?:dieses|das) "
    r"(?:projekt|programm|paket))"
    r"|(?:de quoi (?:parle|s'agit)|que fait|à quoi sert) (?:ce|cette|le|la) \w+"
    r"|(?:de qué trata|qué hace|qué es|para qué sirve) est[ea] \w+"
    r"|(?:о ч[её]м|что делает|что такое|для чего) этот проект"
    r"|这个?(?:项目|程序|库)是?(?:做什么|干什么|关于什么|什么)的?|このプロジェクトは(?:何|なに).*"
)
_START = re.compile(
    rf"(?:how (?:do|can|should) (?:i|we|you) |how to |where (?:do|can|should) (?:i|we) )"
    rf"(?:get started|start|begin)(?: with (?:this|the|it) ?(?:{_THING})?)?"
    r"|getting started|quick ?start"
    r"|wie (?:fange ich an|beginne ich|lege ich los)|erste schritte"
    r"|(?:comment|par où) (?:commencer|débuter)|(?:cómo|por dónde) (?:empezar|empiezo)"
    r"|с чего начать|как начать|如何开始|怎么开始|はじめ方"
)
_PART = re.compile(
    r"what (?:does|is) (?:the )?(?P<part>[\w-]+)(?: (?:service|package|module|library|tool|app))?"
    r"(?: (?:do|about|for|used for))?"
)
_START_HEADING = re.compile(
    r"get(?:ting)? started|quick ?start|install|set ?up|usage|erste schritte"
)
_FIRST_NAMES = ("readme", "overview", "introduction", "getting-started", "getting_started")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What an overview question is about: everything, how to start, or the part of this name."""

    start: bool = False
    part: str | None = None


def overview_files(query: str) -> tuple[str, ...]:
    """Return the names, without suffix, of the files that answer an overview question."""
    if _asked(query) is None:
        return ()
    return tuple(f(name) for name in _FIRST_NAMES for f in (str.upper, str.lower, str.capitalize))


def is_overview(query: str) -> bool:
    """Return whether a query asks what everything is about."""
    return _asked(query) == _Asked()


def overview_place(query: str, passage: Passage) -> float:
    """Return how much a passage is at the place for this query, 0 to 1; 0 for other queries."""
    asked = _asked(query)
    if asked is None:
        return 0.0
    path = PurePath(passage.path)
    if not path.stem.casefold().startswith(_FIRST_NAMES):
        return 0.0
    depth = len(path.parts) - len(PurePath(passage.workspace).parts) - 1
    if asked.part is not None:
        if not _is_named(asked.part, passage):
            return 0.0
        depth = 0
    first = passage.chunk_index == 0
    if asked.start and any(_START_HEADING.search(title.casefold()) for title in passage.heading):
        first = True
    return (1.0 if first else 0.25) * 0.5 ** max(0, depth)


@lru_cache(maxsize=64)
def _asked(query: str) -> _Asked | None:
    asked = " ".join(query.casefold().replace("\u2019", "'").split()).strip(" ?.!\uff1f\u3002")
    if _START.fullmatch(asked):
        return _Asked(start=True)
    if _OVERVIEW.fullmatch(asked):
        return _Asked()
    part = _PART.fullmatch(asked)
    return _Asked(part=part["part"]) if part else None


def _is_named(part: str, passage: Passage) -> bool:
    """Return whether a README is that of a folder, or has a title, of this name."""
    titles = (PurePath(passage.path).parent.name, *passage.heading[:1])
    return part.replace("_", "-") in (title.casefold().replace("_", "-") for title in titles)
