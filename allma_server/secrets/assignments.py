"""Secrets that are given a name which says so: `password = …`, `"api_key": …`, `TOKEN=…`."""

import re
from collections.abc import Iterator

from allma_server.secrets.passphrases import is_passphrase, is_salt
from allma_server.secrets.rules import MarkedText, declared
from allma_server.secrets.spans import Span
from allma_server.secrets.values import is_password, is_random, is_varied, is_written

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
_REST = re.compile(r"[\w-]{0,40}(?:\.\d{1,3}(?=[=: ]))?")
_BETWEEN = re.compile(
    r"\\?[\"'`]?\]?(?:\[\d{0,4}\])?[^\S\n]{0,8}"
    r"(?:"
    # Elements of XML and HTML, and cells of tables in them.
    r"(?P<element>(?::?|>\s{0,12})"
    r"(?:[^\S\n]?</?[A-Za-z][\w:-]{0,20}(?:\s[^<>\n]{0,60})?>\s{0,12}){1,4}|>)(?=[^<\n]{4,400}</)|"
    # A type may stand between.
    r"(?::[^\S\n]{0,3}[A-Za-z][\w.\[\]| ?<>,]{0,40}?[^\S\n]{0,3}|[^\S\n]string[^\S\n]{0,3})?"
    r"(?P<equals>[=!]==?|[:?+|]{0,2}=>?)"
    r"|(?P<colon>::?|：)"
    r"|(?P<entry>[\"']?,?\s{0,20}[\"']?[vV]alue[\"']?\s?[:=]"
    r"|[\"']\s?\{(?:\s{0,8}(?:type|description|sensitive)\s{0,8}=[^\n]{0,200}){0,4}\s{0,8}"
    r"default\s{0,8}=)"
    r"|(?P<call>\(|,|\"[^\S\n]{1,3}value=)"
    r")[^\S\n]{0,12}(?P<block>[|>][+-]?\n[^\S\n]{1,20}|\\\n[^\S\n]{0,20})?"
    r"(?:\n[^\S\n]{0,20})?(?:@|[bfrLuN](?=[\"'])|(?:String::from|String|Some|str|new)[(:]{1,2})?"
)
_QUOTED = re.compile(
    r"\\?(?P<quote>\"\"\"|[\"'`])(?P<value>(?:(?!\\?(?P=quote))[^\n]){4,600})\\?(?P=quote)"
)
_BARE = re.compile(r"(?P<value>[^\s\"'`,;&<>()\[\]{}|\\]{6,600})(?=$|[\s,;&\"'<\\|])", re.MULTILINE)
# The marks of encrypted and encoded values.
_WRAPPED = re.compile(
    r"[\"']?(?:(?:ENC|DEC|enc)\(|\{(?:cipher|aes|des|s?sha\d{0,3}|s?md5|xor|crypt|pbkdf2|bcrypt|enc|"
    r"vault)\}(?:\{\w{1,12}\})?|\{(?=[A-Za-z0-9+/]{12,}={0,2}\}))(?P<value>[A-Za-z0-9+/=_.:$-]{8,600})",
    re.IGNORECASE,
)
_LINE = re.compile(r"(?P<value>[^\n<\"'#;]{8,120}?)[^\S\n]*(?=\n|$|</)")
_EXPRESSION = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_LONGEST_NAME_BEFORE = 40

# One of these is in each name.
_MARKS = declared(
    "pass pw psk secret token credential connection auth sas kennwort contrase senha "
    "wachtwoord losenord adgangskode salasana heslo".split()
)
_OTHER_MARKS = declared("lösenord hasło şifre пароль 密码 密碼 パスワード 비밀번호".split())
_EVERY_MARK = _MARKS + _OTHER_MARKS
_LONGEST_WORD = 18


def assigned(marked: MarkedText) -> Iterator[Span]:
    """The values of what is named like a secret."""
    text, lowered = marked.text, marked.lowered
    marks = _MARKS if text.isascii() else _EVERY_MARK
    for start, end in marked.regions(marks, _LONGEST_WORD):
        for pattern, source in ((_NAMED, lowered), (_CAMEL_CASE, text)):
            for named in pattern.finditer(source, start, end):
                if _is_another(text[max(0, named.start() - 20) : named.end()]):
                    continue
                kind = "password" if named["password"] else "token"
                if (found := _value(text, named, kind)) is not None:
                    yield Span(*found, kind)


def speaks_of_secret(rest: str) -> bool:
    """Whether the rest of a name says that it is not the secret itself: `_policy`, `Length`."""
    return _OF.match(rest) is not None


def _is_another(name: str) -> bool:
    """Whether it is a token that authorizes nobody, or the result of a test."""
    return _NO_SECRET.search(name) is not None or re.search(r"(?<![\w.-])PASS$", name) is not None


def _value(text: str, name: re.Match[str], kind: str) -> tuple[int, int] | None:
    at, named = name.end(), name[0]
    rest = _REST.match(text, at)
    assert rest is not None
    between = _BETWEEN.match(text, rest.end())
    if between is None or speaks_of_secret(rest[0]):
        return None
    if wrapped := _WRAPPED.match(text, between.end()):
        return wrapped.span("value") if _is_encoded(wrapped["value"]) else None
    is_secret = is_password if kind == "password" else is_random
    if quoted := _QUOTED.match(text, between.end()):
        value = quoted["value"]
        found = (
            is_secret(value)
            or is_salt(value)
            or (kind == "password" and _is_phrase(named, between, value))
        )
        return quoted.span("value") if found else None
    if between["call"] is not None:
        return None
    given = bool(between["element"] or between["entry"] or between["block"])
    if "\n" in between[0] and not given:
        return None
    if kind == "password" and (phrase := _phrase(text, at, between)):
        return phrase
    bare = _BARE.match(text, between.end())
    if bare is None:
        return None
    if not is_secret(bare["value"]):
        is_cell = kind == "password" and "</" in (between["element"] or "")
        return bare.span("value") if is_cell and is_written(bare["value"]) else None
    # Right of a sign of assignment stands an expression in most languages.
    if (
        not given
        and _EXPRESSION.fullmatch(bare["value"])
        and not _is_plain(text, at, between, bare)
    ):
        return None
    return bare.span("value")


def _is_encoded(value: str) -> bool:
    return is_random(value) or (len(value) > 11 and any(c.isdigit() for c in value))


def _is_phrase(named: str, between: re.Match[str], value: str) -> bool:
    """Whether words in quotes are a password: not where they are compared, or an argument."""
    if between["call"] is not None or between["equals"] in ("==", "!=", "===", "!=="):
        return False
    # Short names are also those of other things: passes, widths of pictures.
    strict = named in ("pass", "pw") and not any(c.isdigit() for c in value)
    return is_passphrase(value, strict=strict)


def _phrase(text: str, at: int, between: re.Match[str]) -> tuple[int, int] | None:
    """The rest of a line, or of an element, if it is a password of several words."""
    line = _LINE.match(text, between.end())
    if line is None or " " not in line["value"]:
        return None
    before = text[text.rfind("\n", max(0, at - _LONGEST_NAME_BEFORE), at) + 1 : at]
    is_setting = between[0] == "=" and re.fullmatch(r"\s*[\w.-]+", before)
    marked = between["element"] or between["block"] or is_setting
    found = is_passphrase(line["value"], strict=not marked)
    return line.span("value") if found and (marked or between["colon"]) else None


def _is_plain(text: str, at: int, between: re.Match[str], bare: re.Match[str]) -> bool:
    """Whether a value that could be a variable's name is the value itself."""
    value = bare["value"]
    if "." not in value and is_random(value) and sum(c.isdigit() for c in value) > 2:
        return True
    compact = between[0] == "="
    if (compact or between["colon"]) and any(c.isdigit() for c in value[:-1]):
        return True
    is_last = text[bare.end() : bare.end() + 1] in "\n"
    if is_last and is_varied(value):
        return True
    name = re.search(r"[\w.-]*$", text[max(0, at - _LONGEST_NAME_BEFORE) : at])
    return compact and name is not None and name[0].upper() == name[0]
