"""Secrets that are known by what stands around them, other than a name: keys between marks,
passwords in addresses, headers and on command lines.
"""

import re
from collections.abc import Callable, Iterator
from itertools import zip_longest

from allma_server.secrets.spans import Span
from allma_server.secrets.values import is_password, is_random

_BEGIN = re.compile(
    r"-{4,5} ?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}|PuTTY-User-Key-File-\d"
)
_END = re.compile(r"-{4,5} ?END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)? ?-{4,5}|Private-MAC: ?\w+")
_LONGEST_KEY = 40_000
# Readers put an ellipsis in the place of long lines without words.
_KEY_BODY = re.compile(r"[A-Za-z0-9+/]{30}|\n…")
# Where a block has no end (it was cut off), it goes on while its lines look like one.
_KEY_LINE = re.compile(
    r"(?:\\n|\n|\r)+[^\S\n]*(?:[#>*|+/]{1,3} ?|[\"']\+?\s?)?"
    r"(?:[A-Za-z-]{3,20}: [^\n]{1,80}|[A-Za-z0-9+/=]{1,100}|)(?=[\"',\\]{0,4}(?:\\n|[\r\n]|$))"
)

_URL = re.compile(
    r"://(?P<user>[^\s/:@'\"<>`]{0,80}):(?P<secret>[^\s/@'\"<>`]{1,200})@(?=[\w\[.-])"
)
_AUTHORIZATION = re.compile(
    r"authorization[\"']?\s{0,3}(?:[:=,]|=>)\s{0,3}[\"'`]?(?:basic|bearer|token|apikey|digest|bot)\s{1,2}"
    r"(?P<secret>[A-Za-z0-9+/=_.~:-]{8,4000})",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\bbearer\s{1,2}(?P<secret>[A-Za-z0-9+/=_.~-]{20,4000})", re.IGNORECASE)
_COOKIE = re.compile(
    r"\b(?:set-)?cookie[\"']?:[ \t]{0,3}[\"']?(?P<secret>[^\n\"']{20,4000})", re.IGNORECASE
)
_NETRC = re.compile(
    r"\b(?:machine\s{1,8}\S{1,200}|default)\s{1,8}(?:login|account)\s{1,8}\S{1,100}\s{1,8}password\s{1,4}(?P<secret>\S{3,200})"
)
_USER_OPTION = re.compile(
    r"(?:curl|wget|http)\b[^\n]{0,300}?\s(?:-u|--user)[= ]{1,2}"
    r"[\"']?[^\s:\"']{1,80}:(?P<secret>[^\s\"']{3,200})"
)
_OPTION = re.compile(
    r"--(?=[a-z])(?:[\w-]{0,30}(?:password|passwd|passphrase|secret|token|api-?key))(?:=|\s)[\"']?"
    r"(?P<secret>(?!-)[^\s\"'<>$|&;,)\]}]{6,300})"
)
_SHORT_OPTION = re.compile(
    r"(?:\bsshpass\s{1,4}(?:-\S{1,20}\s{1,3}){0,3}?-p\s?|\b(?:mysql\w*|mariadb)\b[^\n]{0,200}?\s-p|"
    r"-(?:store|key)pass\s{1,3}|-pass(?:in|out)?\s{1,3}pass:)[\"']?(?P<secret>[^\s\"']{6,200})"
)
# Configuration that has nothing but a blank between a name and its value.
_LINE = re.compile(
    r"^[^\S\n]{0,20}(?:[\w#/.-]{1,40}[^\S\n]{1,4}){0,3}?(?i:[\w-]{0,40}?(?:passw(?:or)?d|passphrase|pass|"
    r"pw|secret|community|pre-?shared-key))[^\S\n]{1,8}(?:\d[^\S\n]{1,4})?[\"']?"
    r"(?P<secret>[^\s\"'`<>(){}\[\]]{8,200})[\"']?[^\S\n]{0,8}(?:r[ow])?$",
    re.MULTILINE | re.IGNORECASE,
)
_LINE_WORDS = ("passw", "passphrase", "pass ", "pw ", "secret ", "community ", "shared-key ")
_LOGIN_CALL = re.compile(
    r"(?:NetworkCredential|BasicAuth|WiFi\.begin|[^\w.]auth\s?=\s?)\(\s{0,4}[\"'][^\"'\n]{1,80}[\"']\s{0,3},"
    r"\s{0,20}[\"'](?P<secret>[^\"'\n]{4,200})[\"']\s{0,4}\)"
)
_SECURE_STRING = re.compile(
    r"ConvertTo-SecureString\s[^\n]{0,60}?[\"'](?P<secret>[^\"'\n]{4,200})[\"']"
)
_AUTH_JSON = re.compile(
    r"\"(?:auth|_auth)\"\s{0,3}:\s{0,3}\"(?P<secret>[A-Za-z0-9+/]{8,400}={0,2})\""
)
_IN_SQL = re.compile(
    r"\b(?:password|identified\s{1,3}by(?:\s{1,3}password)?)\s{1,3}'(?P<secret>[^'\s]{4,200})'",
    re.IGNORECASE,
)


def private_keys(text: str) -> Iterator[Span]:
    """Whole keys, with their marks, over several lines or with their line ends escaped."""
    if "PRIVATE KEY" not in text and "PuTTY-User-Key" not in text:
        return
    begins = list(_BEGIN.finditer(text))
    for begin, following in zip_longest(begins, begins[1:]):
        last = min(following.start() if following else len(text), begin.end() + _LONGEST_KEY)
        end = _END.search(text, begin.end(), last)
        at = end.end() if end else _end_of_lines(text, begin.end())
        if _KEY_BODY.search(text, begin.end(), at):  # else it is only spoken of
            yield Span(begin.start(), at, "private key")


def _end_of_lines(text: str, at: int) -> int:
    last = at
    while (line := _KEY_LINE.match(text, last)) and line.end() > last:
        last = line.end()
    return last


def in_context(text: str, lowered: str) -> Iterator[Span]:
    """Passwords in addresses, headers, `.netrc` lines, options of commands, statements of SQL."""
    if "://" in text:
        for match in _URL.finditer(text):
            if is_password(match["secret"], weak=True):
                yield Span(*match.span("secret"), "password")
    if "authorization" in lowered:
        yield from _found(_AUTHORIZATION, text, "authorization", _is_authorization)
    if "bearer " in lowered:
        yield from _found(_BEARER, text, "authorization", is_random)
    if "cookie:" in lowered or 'cookie"' in lowered:
        yield from _found(_COOKIE, text, "cookie", _has_session)
    if "login" in lowered and "password" in lowered:
        yield from _found(_NETRC, text, "password", lambda value: is_password(value, weak=True))
    if "curl" in lowered or "wget" in lowered:
        yield from _found(_USER_OPTION, text, "password", lambda v: is_password(v, weak=True))
    if '"auth"' in text or '"_auth"' in text:
        yield from _found(_AUTH_JSON, text, "authorization", _is_authorization)
    if "--" in text:
        yield from _found(_OPTION, text, "password", is_password)
    if " -" in text:
        yield from _found(_SHORT_OPTION, text, "password", is_password)
    if any(word in lowered for word in _LINE_WORDS):
        yield from _found(_LINE, text, "password", _is_varied)
    if "(" in text:
        yield from _found(_LOGIN_CALL, text, "password", is_password)
    if "SecureString" in text:
        yield from _found(_SECURE_STRING, text, "password", is_password)
    if "password '" in lowered or "identified" in lowered:
        yield from _found(_IN_SQL, text, "password", is_password)


def _found(
    pattern: re.Pattern[str], text: str, kind: str, is_secret: Callable[[str], bool]
) -> Iterator[Span]:
    for match in pattern.finditer(text):
        if is_secret(match["secret"]):
            yield Span(*match.span("secret"), kind)


def _is_varied(value: str) -> bool:
    """Whether it is a password where a word of a sentence could stand as well."""
    kinds = (str.isdigit, str.islower, str.isupper)
    return is_password(value) and all(any(map(kind, value)) for kind in kinds)


def _is_authorization(value: str) -> bool:
    return is_random(value) or is_password(value)


def _has_session(cookies: str) -> bool:
    return any(is_random(each.partition("=")[2].strip()) for each in cookies.split(";"))
