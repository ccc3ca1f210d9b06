"""Secrets that are known by what stands around them, other than a name: keys between marks,
passwords in addresses, headers and on command lines.
"""

import re
from collections.abc import Iterator
from itertools import zip_longest

from allma_server.secrets.devices import DEVICES
from allma_server.secrets.options import COMMANDS
from allma_server.secrets.passphrases import is_passphrase
from allma_server.secrets.rules import MarkedText, Rule, Rules, declared
from allma_server.secrets.spans import Span
from allma_server.secrets.values import is_password, is_random, is_varied

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


def _is_plain_password(value: str) -> bool:
    """Whether it is a password where nothing else can stand: plain words are one too."""
    return is_password(value, weak=True)


def _is_authorization(value: str) -> bool:
    return is_random(value) or is_password(value)


def _has_session(cookies: str) -> bool:
    return any(is_random(each.partition("=")[2].strip()) for each in cookies.split(";"))


def _is_quoted(value: str) -> bool:
    return is_password(value) or is_passphrase(value)


_LOGIN_CALLS = (
    "networkcredential",
    "basicauth",
    "wifi.begin",
    "credential",
    "getconnection",
    "auth=",
    "auth =",
    ".login(",
    "sql.connect(",
)

_RULES = (
    Rule("password", ("://",), re.compile(
        r"://[^\s/:@'\"<>`]{0,80}:(?P<secret>[^\s/@'\"<>`]{1,200})@(?=[\w\[.-])"
    ), _is_plain_password),
    Rule("authorization", ("authorization",), re.compile(
        r"(?i)authorization[\"']?\s{0,3}(?:[:=,]|=>)\s{0,3}[\"'`]?"
        r"(?:basic|bearer|token|apikey|digest|bot)\s{1,2}"
        r"(?P<secret>[A-Za-z0-9+/=_.~:-]{8,4000})"
    ), _is_authorization),
    Rule("authorization", ("bearer",), re.compile(
        r"(?i)\bbearer\s{1,2}(?P<secret>[A-Za-z0-9+/=_.~-]{20,4000})"
    ), is_random),
    Rule("authorization", ('"auth"', '"_auth"'), re.compile(
        r"(?i)\"_?auth\"\s{0,3}:\s{0,3}\"(?P<secret>[A-Za-z0-9+/]{8,400}={0,2})\""
    ), _is_authorization),
    Rule("cookie", ("cookie",), re.compile(
        r"(?i)\bcookie[\"']?:[ \t]{0,3}[\"']?(?P<secret>[^\n\"']{20,4000})"
    ), _has_session),
    # .netrc
    Rule("password", ("machine ", "default login", "default account"), re.compile(
        r"(?i)\b(?:machine\s{1,8}\S{1,200}|default)\s{1,8}(?:login|account)\s{1,8}\S{1,100}"
        r"\s{1,8}password\s{1,4}(?P<secret>\S{3,200})"
    ), _is_plain_password),
    Rule("password", ("curl", "wget"), re.compile(
        r"\w{4}\b[^\n]{0,300}?\s(?:-u|--user)[= ]{1,2}"
        r"[\"']?[^\s:\"']{1,80}:(?P<secret>[^\s\"']{3,200})"
    ), _is_plain_password),
    Rule("password", ("--",), re.compile(
        r"--(?=[a-z])[\w-]{0,30}(?:password|passwd|passphrase|secret|token|api-?key)(?:=|\s)[\"']?"
        r"(?P<secret>(?!-)[^\s\"'<>$|&;,)\]}]{6,300})"
    ), is_password),
    Rule("password", ("sshpass",), re.compile(
        r"sshpass\s{1,4}(?:-\S{1,20}\s{1,3}){0,3}?-p\s?[\"']?(?P<secret>[^\s\"']{6,200})"
    ), is_password),
    Rule("password", ("-storepass", "-keypass", "-pass"), re.compile(
        r"(?:-(?:store|key)pass\s{1,3}|-pass(?:in|out)?\s{1,3}pass:)[\"']?"
        r"(?P<secret>[^\s\"']{6,200})"
    ), is_password),
    Rule("password", _LOGIN_CALLS, re.compile(
        r"(?:NetworkCredential|BasicAuth|WiFi\.begin|Credentials?|getConnection|auth(?<![\w.]auth)\s?=\s?|\.login|sql\.connect)"
        r"\(\s{0,4}(?:[\"'][^\"'\n]{1,80}[\"']\s{0,3},\s{0,20}){1,2}"
        r"[\"'](?P<secret>[^\"'\n]{4,200})[\"']\s{0,4}[),]"
    ), _is_quoted),
    Rule("password", ("convertto-securestring",), re.compile(
        r"(?i)ConvertTo-SecureString\s[^\n]{0,60}?[\"'](?P<secret>[^\"'\n]{4,200})[\"']"
    ), _is_quoted),
    # SQL
    Rule("password", ("password '", "identified by"), re.compile(
        r"(?i)(?:password|identified by(?:\s{1,3}password)?)\s{1,3}'(?P<secret>[^'\n]{4,200})'"
    ), _is_quoted),
    Rule("password", ("identified by",), re.compile(
        r"(?i)identified by\s{1,3}\"?(?P<secret>[^\s'\"();]{6,100})"
    ), is_varied),
    Rule("password", ("jdbc:oracle",), re.compile(
        r"jdbc:oracle:\w{1,10}:[\w$#]{1,60}/(?P<secret>[^\s/@\"'<>]{3,100})@"
    ), _is_plain_password),
    Rule("token", ("://",), re.compile(
        r"://(?P<secret>[A-Za-z0-9_-]{20,200})@(?=[\w\[.-])"
    ), is_random),
    Rule("password", ("wifi:",), re.compile(
        r"WIFI:(?:[TSHIA]:(?:\\.|[^;\n\\]){0,80};){1,5}P:(?P<secret>(?:\\.|[^;\n\\]){4,100});"
    ), _is_plain_password),
    # .pgpass
    Rule("password", (":5432:",), re.compile(
        r":5432:[\w*-]{1,60}:[\w*-]{1,60}:(?P<secret>\S{4,100})(?=\s|$)"
    ), _is_plain_password),
    Rule("encrypted text", ("$ansible_vault",), re.compile(
        r"\$ANSIBLE_VAULT;[^\n]{1,80}(?P<secret>(?:\s{1,20}[0-9a-f]{20,90}){1,2000})"
    ), bool),
)  # fmt: skip

_ALL = Rules((*_RULES, *COMMANDS, *DEVICES))

# Configuration that has nothing but a blank between a name and its value.
_LINE = re.compile(
    r"[^\S\n]{0,20}(?:[\w#/.-]{1,40}[^\S\n]{1,4}){0,3}?[\w-]{0,40}?(?:passw(?:or)?d|passphrase|pass|"
    r"pw|secret|community|pre-?shared-key)[^\S\n]{1,8}(?:\d[^\S\n]{1,4})?[\"']?"
    r"(?P<secret>[^\s\"'`<>(){}\[\]]{8,200})[\"']?[^\S\n]{0,8}(?:r[ow])?$",
    re.IGNORECASE,
)
_LINE_MARKS = declared(
    ["passw", "passphrase ", "pass ", "pw ", "secret ", "community ", "shared-key "]
)
_LONGEST_LINE = 400


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


_KEY_TYPE = re.compile(r"kty(?<![\w-]kty)\\?[\"']?\s{0,4}[:=]")
_KEY_TYPE_MARKS = declared(["kty"])
_PRIVATE_MEMBER = re.compile(
    r"(?<![\w-])(?P<quote>\\?[\"']?)(?:d|p|q|dp|dq|qi|k|r|t|oth)(?P=quote)\s{0,4}[:=]\s{0,4}"
    r"\\?[\"']?(?P<secret>[A-Za-z0-9_+/-]{16,8000}={0,2})"
)


def private_members(marked: MarkedText) -> Iterator[Span]:
    """The members of a JSON Web Key that are not public."""
    text = marked.text
    for at in marked.places("kty") if marked.present(_KEY_TYPE_MARKS) else ():
        if not _KEY_TYPE.match(text, at):
            continue
        # The members of the same object, on either side of its type.
        start = max(text.rfind(mark, max(0, at - _LONGEST_KEY), at) for mark in "{}")
        ends = [text.find(mark, at, at + _LONGEST_KEY) for mark in "{}"]
        end = min((end for end in ends if end >= 0), default=at + _LONGEST_KEY)
        start = max(start, 0, at - _LONGEST_KEY)
        for member in _PRIVATE_MEMBER.finditer(text, start, end):
            # A quoted name is a member of the key for certain, whatever its value looks like.
            if member["quote"] or is_random(member["secret"]):
                yield Span(*member.span("secret"), "private key")


def in_context(marked: MarkedText) -> Iterator[Span]:
    """Passwords in addresses, headers, `.netrc` lines, options of commands, statements of SQL."""
    text, lowered = marked.text, marked.lowered
    yield from _ALL.spans(marked)
    for mark in marked.present(_LINE_MARKS):
        for at in marked.places(mark):
            start = lowered.rfind("\n", max(0, at - _LONGEST_LINE), at) + 1
            end = lowered.find("\n", at, at + _LONGEST_LINE)
            if at - start > _LONGEST_LINE:
                continue
            line = _LINE.match(text, start, end if end >= 0 else at + _LONGEST_LINE)
            if line and is_varied(line["secret"]):
                yield Span(*line.span("secret"), "password")
