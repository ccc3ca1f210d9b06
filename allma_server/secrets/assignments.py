"""Secrets that are given a name which says so: `password = …`, `"api_key": …`, `TOKEN=…`."""

import re
from collections.abc import Iterator

from allma_server.secrets.rules import MarkedText
from allma_server.secrets.spans import Span
from allma_server.secrets.values import is_password, is_random

_PASSWORDS = (
    r"passw(?:or)?d|passwort|kennwort|passphrase|contrase[nñ]a|mot[_ ]de[_ ]passe|senha|pwd|"
    r"wachtwoord|l[oö]senord|adgangskode|passord|salasana|heslo|hasło|şifre|пароль|密码|密碼|"
    r"パスワード|비밀번호|pre[_ -]?shared[_ -]?key|(?:psk|pw)(?<![a-z]psk)(?<![a-z]pw)(?![a-z])|"
    r"(?:db|root|admin|user|bind|smtp|ftp|mail|ssh|sql|key|store)(?:pass|pw)(?![a-z])|"
    r"pass(?<![a-z]pass)(?![a-z])"
)
_TOKENS = (
    r"secret|token|credential|(?:api|access|auth|private|secret|encryption|signing|account|master|"
    r"storage|shared|service|session|license|app|admin|server|deploy|webhook|fernet|hmac|aes|jwt)"
    r"[_ -]?key|connection[_ -]?string|"
    r"auth(?<![a-z]auth)(?![a-z])|sas(?<![a-z]sas)(?![a-z])"
)
_NAMED = re.compile(rf"(?P<password>{_PASSWORDS})|{_TOKENS}")
_CAMEL_CASE = re.compile(r"(?P<password>Pass(?<=[a-z]Pass)(?![a-z]))|Auth(?<=[a-z]Auth)(?![a-z])")

# What follows the word in a name of something else: a policy, a length, a path.
_OF = re.compile(
    r"[\w-]{0,30}?(?:[_-]|(?<=[a-z])(?=[A-Z]))?(?:names?|ids?|ur[il]s?|paths?|files?|filenames?|"
    r"types?|fields?|headers?|env|vars?|arn|len(?:gth)?|size|count|limits?|expir\w*|ttl|lifetime|"
    r"regex|patterns?|labels?|hints?|prompts?|titles?|texts?|desc\w*|messages?|msg|errors?|polic\w*|"
    r"prefix|suffix|formats?|endpoints?|version|alg\w*|encoding|class|functions?|managers?|stores?|"
    r"providers?|reset\w*|placeholders?|requir\w*|enabled|rotation|strength|hasher|checksum|"
    r"digest|sha\d*|md5|incorrect|invalid|wrong|missing|failed|mismatch\w*)(?![a-z])",
    re.IGNORECASE,
)
# Positions in lists, marks of requests.
_NO_SECRET = re.compile(
    r"(?:next|page|pagination|continuation|change|lock|csrf\w*|xsrf|idempotency|action|sync|resume)"
    r"[_-]?token$",
    re.IGNORECASE,
)
_REST = re.compile(r"[\w-]{0,40}")
_BETWEEN = re.compile(
    r"\\?[\"'`]?\]?(?:\[\d{0,4}\])?[^\S\n]{0,8}"
    r"(?:"
    # A type may stand between.
    r"(?::[^\S\n]{0,3}[A-Za-z][\w.\[\]| ?<>,]{0,40}?[^\S\n]{0,3}|[^\S\n]string[^\S\n]{0,3})?"
    r"(?P<equals>[=!]==?|[:?+|]{0,2}=>?)"
    r"|(?P<colon>::?|：)"
    r"|(?P<call>\(|,|\"[^\S\n]{1,3}value=)|(?P<element>>)(?=[^<\n]{4,400}</)"
    r"|(?P<entry>[\"']?\n[^\S\n]{0,20}value:)"
    r")[^\S\n]{0,12}(?:\n[^\S\n]{0,20})?(?:@|[bfrLu](?=[\"'])|(?:String|Some|str|new)[(:]{1,2})?"
)
_QUOTED = re.compile(
    r"\\?(?P<quote>[\"'`])(?P<value>(?:(?!\\?(?P=quote))[^\n]){4,600})\\?(?P=quote)"
)
_BARE = re.compile(r"(?P<value>[^\s\"'`,;&<>()\[\]{}|\\]{6,600})(?=$|[\s,;&\"'<\\|])", re.MULTILINE)
_EXPRESSION = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_LONGEST_NAME_BEFORE = 40

# One of these is in each name.
_MARKS = tuple(
    "pass pw psk secret token credential connection auth sas kennwort contrase senha "
    "wachtwoord losenord adgangskode salasana heslo".split()
)
_OTHER_MARKS = tuple("lösenord hasło şifre пароль 密码 密碼 パスワード 비밀번호".split())
_LONGEST_WORD = 18


def assigned(marked: MarkedText) -> Iterator[Span]:
    """The values of what is named like a secret."""
    text, lowered = marked.text, marked.lowered
    marks = _MARKS if text.isascii() else _MARKS + _OTHER_MARKS
    for start, end in marked.regions(marks, _LONGEST_WORD):
        for pattern, source in ((_NAMED, lowered), (_CAMEL_CASE, text)):
            for named in pattern.finditer(source, start, end):
                if _is_another(text[max(0, named.start() - 20) : named.end()]):
                    continue
                kind = "password" if named["password"] else "token"
                if (found := _value(text, named.end(), kind)) is not None:
                    yield Span(*found, kind)


def speaks_of_secret(rest: str) -> bool:
    """Whether the rest of a name says that it is not the secret itself: `_policy`, `Length`."""
    return _OF.match(rest) is not None


def _is_another(name: str) -> bool:
    """Whether it is a token that authorizes nobody, or the result of a test."""
    return _NO_SECRET.search(name) is not None or re.search(r"(?<![\w.-])PASS$", name) is not None


def _value(text: str, at: int, kind: str) -> tuple[int, int] | None:
    rest = _REST.match(text, at)
    assert rest is not None
    between = _BETWEEN.match(text, rest.end())
    if between is None or speaks_of_secret(rest[0]):
        return None
    is_secret = is_password if kind == "password" else is_random
    if quoted := _QUOTED.match(text, between.end()):
        return quoted.span("value") if is_secret(quoted["value"]) else None
    if between["call"] is not None:
        return None
    if "\n" in between[0] and between["entry"] is None:
        return None
    bare = _BARE.match(text, between.end())
    if bare is None or not is_secret(bare["value"]):
        return None
    # Right of a sign of assignment stands an expression in most languages.
    if (
        between["element"] is None
        and between["entry"] is None
        and _EXPRESSION.fullmatch(bare["value"])
        and not _is_plain(text, at, between, bare["value"])
    ):
        return None
    return bare.span("value")


def _is_plain(text: str, at: int, between: re.Match[str], value: str) -> bool:
    """Whether a value that could be a variable's name is the value itself."""
    if "." not in value and is_random(value) and sum(c.isdigit() for c in value) > 2:
        return True
    compact = between[0] == "="
    if (compact or between["colon"]) and any(c.isdigit() for c in value[:-1]):
        return True
    name = re.search(r"[\w.-]*$", text[max(0, at - _LONGEST_NAME_BEFORE) : at])
    return compact and name is not None and name[0].upper() == name[0]
