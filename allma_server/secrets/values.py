"""Whether a value that stands where a secret would stand is one, or only speaks of one."""

import math
import re
from collections import Counter

_PLACEHOLDER = re.compile(
    r"(?:your|my|the|some|any|an?|new|old|change|replace|insert|enter|put|use|set|add|example|"
    r"sample|dummy|fake|mock|test|todo|redacted|placeholder|hidden|masked|removed|none|null|nil|"
    r"true|false|undefined|unset|empty|optional|required|default|secret|password|passwd|passw0rd|"
    r"pass|pwd|token|api|key|user|admin|root|login|hello|abc|qwerty|string|str|text|value|foo|bar|xyz|"
    r"baz|postgres|mysql|guest|changeme|letmein|welcome|xxx+|123?4?5?6?7?8?9?0?)+"
    r"(?:[\W_]?(?:here|me|this|it|word|123\d*|1|2|!))*",
    re.IGNORECASE,
)
_REFERENCE = re.compile(
    r"[$%@&*#<>{}\[\]().…]|\\?[\"'`]|(?:https?|file|op|vault|arn|env|ssm|sm|secretsmanager|keyring|"
    r"ref|projects?)[:/]|(?:\.{0,2}|~)/[\w.-]+/|(?:self|this|process|os|env|ENV|config|cfg|settings|"
    r"options|opts|args|params|request|req|ctx|data|props|state|var|local|module|secrets|inputs)[.\[]",
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z_ .:/-]*\d?|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_HEX = re.compile(r"[0-9a-f]+")
_WORD = re.compile(r"[A-Z]?[a-z]{3,}|[A-Z]{4,}")
_VOWELS = re.compile(r"[aeiouyAEIOUY]")
_SYMBOLS = frozenset("!@#$%^&*+=?~|;:,")
_SPACE = re.compile(r"\s")
_SAME = re.compile(r"(.)\1*")


def is_random(value: str) -> bool:
    """Whether a value looks drawn by chance: a token, not a name, a path or words."""
    size = len(value)
    if size < 16 or _SPACE.search(value) or _is_reference(value) or "EXAMPLE" in value.upper():
        return False
    if size < 24 and _HEX.fullmatch(value):
        return False
    digits = sum(c.isdigit() for c in value)
    letters = sum(c.isalpha() for c in value)
    if letters < 2 or (digits < 2 and size < 24) or _words(value) > size / 2:
        return False
    if not digits and not (value.isalnum() and value != value.lower() and value != value.upper()):
        return False
    return _entropy(value) >= (3.0 if size < 32 else 3.2)


def is_password(value: str, *, weak: bool = False) -> bool:
    """Whether a value may be somebody's password; `weak` takes plain words for one too."""
    size = len(value)
    if size < 3 or size > 256 or _SPACE.search(value):
        return False
    if _PLACEHOLDER.fullmatch(value) or _SAME.fullmatch(value) or "EXAMPLE" in value.upper():
        return False
    if _is_reference(value) or "..." in value or "***" in value:
        return False
    if is_random(value):
        return True
    if weak:
        return True
    varied = any(c.isdigit() for c in value) or any(c in _SYMBOLS for c in value)
    return size >= 6 and varied and not _NAME.fullmatch(value) and any(c.isalpha() for c in value)


def _is_reference(value: str) -> bool:
    """Whether it only tells where the secret is: a variable, a path, an entry of a vault."""
    found = _REFERENCE.match(value)
    if found is None:
        return value.endswith((")", "}", ">", "]", "}}"))
    # A password may begin with a sign, but then it is not an expression.
    return not (found[0] in "@&*#%" and value[1:2].isalnum() and any(c.isdigit() for c in value))


def _words(value: str) -> int:
    """How many of its characters stand in words."""
    return sum(len(word) for word in _WORD.findall(value) if _VOWELS.search(word))


def _entropy(value: str) -> float:
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values())
