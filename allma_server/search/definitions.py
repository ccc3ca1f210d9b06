"""Questions for a definition: "where is X defined", "where is the retry policy", a bare identifier.

Callers and tests say a name more often than the place that defines it, so words rank them first.
But code says itself where a name is defined: by a line such as `def X`, and by the symbol path that
every chunk of code has as its heading.
"""

import re
from functools import lru_cache
from pathlib import PurePath

from allma_server.types import Passage, format_of

_KIND = "function|method|class|type|struct|interface|enum|constant|variable|macro|module"
_ARTICLE = "(?:(?:the|a|die|der|das|la|le|el) )?"
_NAME = r"\S+(?: [\w-]+){0,3}?"
_QUESTION = re.compile(
    r"(?:where(?:'s| is| are)|wo (?:ist|sind|wird)|où (?:est|sont)|dónde (?:está|se)|где) "
    rf"{_ARTICLE}(?:(?:{_KIND}) )?(?P<name>{_NAME})(?: (?:{_KIND}))?"
    r"(?: (?:define[ds]?|implemented|declared|located|definiert|implementiert|defini\w*|défini\w*"
    r"|определ\w*))?"
    r"|(?:(?:find|show|show me|go to) )?(?:the )?(?:definition|implementation|declaration) of "
    rf"{_ARTICLE}(?:(?:{_KIND}) )?(?P<other>{_NAME})",
    re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"[^\W\d][\w$]*(?:(?:\.|::|->|#)[^\W\d][\w$]*)*(?:\(\))?")
_DEFINES = re.compile(
    r"^[ \t]*(?:(?:export|default|pub(?:\([^)\n]*\))?|public|private|protected|internal|static"
    r"|abstract|final|async|unsafe|inline|extern|declare) +)*"
    r"(?:def|class|function\*?|fn|func|fun|type|struct|enum|trait|interface|record|object|module"
    r"|namespace|const|let|var|val|macro_rules!|#define|sub|procedure) +"
    r"(?:\([^)\n]*\) *)?([\w$]+)"
    r"|^([^\W\d][\w$]*) *(?::[^=\n]+)?=(?!=)",
    re.MULTILINE,
)
_TESTS = frozenset({"test", "tests", "spec", "specs", "__tests__", "testing"})


@lru_cache(maxsize=64)
def sought_name(query: str) -> str | None:
    """Return the name whose definition the query asks for; None if it asks for something else."""
    asked = " ".join(query.replace("`", "").replace("\u2019", "'").split()).strip(" ?.!\uff1f")
    if _IDENTIFIER.fullmatch(asked):
        return asked
    found = _QUESTION.fullmatch(asked)
    return (found["name"] or found["other"]) if found else None


def is_of_code(query: str) -> bool:
    """Return whether the query asks for a name that is written as only code writes names."""
    return re.search(r"\w[_.:#(]|[^\W\d_][^\WA-Z\d_]*[A-Z]", sought_name(query) or "") is not None


def definition_place(query: str, passage: Passage) -> float:
    """Return how much a passage defines what the query asks for, 0 to 1; in tests it is half."""
    name = sought_name(query)
    if name is None or format_of(path := PurePath(passage.path)) != "code":
        return 0.0
    *qualifiers, last = map(_plain, re.split(r"\.|::|->|#", name.removesuffix("()")))
    titles = [_plain(title) for title in passage.heading]
    defined = {_plain(a or b) for a, b in _DEFINES.findall(passage.text)}
    if not defined.union(titles, {_plain(path.stem)}).issuperset(qualifiers):
        return 0.0
    # Part of a long function has its name as heading, but is not where it begins.
    if last not in defined and not (titles[-1:] == [last] and last in _plain(passage.text[:400])):
        return 0.0
    in_tests = path.stem.startswith("test_") or not _TESTS.isdisjoint(path.parts)
    return 0.5 if in_tests else 1.0


def _plain(name: str) -> str:
    """Return a name without what conventions of writing add: `retry_policy` is `RetryPolicy`."""
    return re.sub(r"[\W_]+", "", name).casefold()
