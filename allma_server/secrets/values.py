"""Whether a value in the position of a secret is one, or a placeholder, a term, a reference."""

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

# Numbered terms of technical texts, counts with their units, names of files, addresses of people.
_TERM = re.compile(
    r"(?:sha|md|utf|base|aes|rc|des|rsa|ntlm|oauth|saml|ipv|https?|tls|ssl|win|python|py|rfc|iso|cp|"
    r"ascii|unicode|latin|pbkdf|argon|b?crypt|scrypt|blake|ed|php|java|windows|tcp|udp|port|u?int|"
    r"float|var(?:char)?|n?varchar|char|str(?:ing)?|byte|bit|wpa|cve|hmac|kerberos|mschap|eap|v|x)"
    r"s?[-_.]?v?\d[\d.]*[a-z]{0,2}(?:[-_./]\w{1,8}){0,2}(?::\d+)?(?:\(\))?|"
    r"(?:level|step|section|chapter|version|part|table|figure|type|mode|group|user|row|col(?:umn)?|"
    r"line|page|phase|option|case|example|test|item|sample|field|arg|param(?:eter)?|server|host|"
    r"node|db|key|pass(?:word)?|token|secret|hash|value|id)s?[-_.]?\d{1,2}(?::\d+)?|"
    r"\d[\d.,:/–-]*[-–]?(?:[a-z]{1,3}|days?|chars?|characters?|bits?|bytes?|digits?|letters?|hours?|"
    r"minutes?|seconds?|years?|months?|weeks?|times?|symbols?|words?|zeichen|stellen|stellig\w*)|"
    r"\d+[-–][a-z-]+|[a-z]+(?:-[a-z]+)*-\d+(?:-[a-z]+)*|"
    r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|[\w./\\-]*\w\.(?:[a-z]{1,4}\d?|html5|json5)|"
    r"[a-z_][\w.]*\(.*|[\w.-]+(?:/[\w.-]+)+|[a-z_]+[\w.]*=.*|<.*>|c\+\+\w*|"
    r"\w+(?:\[\w*\]|::\w+)+|[a-z]+(?:_[a-z0-9]+)+\(?\)?",
    re.IGNORECASE,
)
_PASSPHRASE = re.compile(r"[a-z]{3,}(?:-[a-z]{3,}){3,}", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[_./\\()\[\]{}=<>:]|[a-z][A-Z]")
_CLASS_NAME = re.compile(r"(?:[A-Z][a-z]+)+\d+(?:[A-Z][a-z]+)+")  # Base64Encoder
_SAYING = re.compile(
    r"(?:required|requires?|optional|empty|blank|plain|bytes?|string|text|char|varchar|number|integer|"
    r"boolean|object|array|hidden|visible|unset|wrong|correct|incorrect|invalid|valid|weak|strong|"
    r"expired|unknown|disabled|enabled|encrypted|hashed|salted|case|same|sent|stored|saved|shown|"
    r"used|checked|always|never|only|yes|nein|ja|oui|non|no|n/a|any|all|both|field|input|"
    r"username|basic|digest|bearer|type|name|description|default|minimum|maximum|column|public|"
    r"private|internal|external|read|write|readonly|unlimited|not|none|see|same|idem|ditto)",
    re.IGNORECASE,
)


def is_random(value: str) -> bool:
    """Whether a value looks random: a token, not a name, a path or words."""
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
    return entropy(value) >= (3.0 if size < 32 else 3.2)


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


def is_varied(value: str) -> bool:
    """Whether it is a password where a word of a sentence could stand as well."""
    kinds = (str.isdigit, str.islower, str.isupper)
    return is_password(value) and is_written(value) and all(any(map(k, value)) for k in kinds)


def is_written(value: str) -> bool:
    """Whether a value that a sentence or a table gives as a password can be no word of it."""
    size = len(value)
    if size < 6 or not is_password(value, weak=True) or _TERM.fullmatch(value):
        return False
    if not any(c.isalpha() for c in value) or _CLASS_NAME.fullmatch(value):
        return False
    if _PASSPHRASE.fullmatch(value):
        return True
    inside = value.strip("!?.,:;-_/")
    return any(c.isdigit() for c in inside) or any(c in "!@#$%^&*+?~" for c in inside)


def is_written_word(value: str) -> bool:
    """The same for a value in quotes or below the name of a password: plain words are one, too."""
    if len(value) < 4 or not is_password(value, weak=True) or _TERM.fullmatch(value):
        return False
    return _IDENTIFIER.search(value) is None and _SAYING.fullmatch(value) is None


def _is_reference(value: str) -> bool:
    """Whether it only says where the secret is kept: a variable, a path, a vault's entry."""
    found = _REFERENCE.match(value)
    if found is None:
        return value.endswith((")", "}", ">", "]", "}}"))
    # A password may begin with a sign, but then it is not an expression.
    return not (found[0] in "@&*#%" and value[1:2].isalnum() and any(c.isdigit() for c in value))


def _words(value: str) -> int:
    """How many of its characters stand in words."""
    return sum(len(word) for word in _WORD.findall(value) if _VOWELS.search(word))


def entropy(value: str) -> float:
    """Bits a character, by how often each one is in the value."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values())
