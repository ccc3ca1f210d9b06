"""Secrets in the configuration of routers, switches, firewalls and servers.

Their lines have nothing but blanks between a name and its value. Before the value may stand a digit
or a word for the way in which it is encrypted.
"""

import re

from allma_server.secrets.passphrases import speaks_of_passwords
from allma_server.secrets.rules import Rule
from allma_server.secrets.values import is_password, is_written

_ENCRYPTED = (
    r"(?:[05-9]\s{1,3}|ENC\s{1,3}|encrypted\s{1,3}|ascii\s{1,3}(?:[0-9]\s{1,3})?|hex\s{1,3})"
)
_VALUE = r"[\"']?(?P<secret>[^\s\"'<>\[\]]{4,300})[\"']?"
_END = r"(?=[^\S\n]{0,8}(?:\d{1,2}[^\S\n]{0,3})?(?:\n|$|;|\|))"
_NO_VALUE = re.compile(r"[A-Z_-]+|public|private|foobared")
_HASH = re.compile(r"\$\d{1,2}\$[\w$./+=-]{6,}")


def _is_given(value: str) -> bool:
    """Whether it is a value, where nothing but one, a placeholder or a default can stand."""
    if _HASH.fullmatch(value):
        return True
    if not is_password(value, weak=True) or _NO_VALUE.fullmatch(value):
        return False
    return not (value.isalpha() and speaks_of_passwords(value))


def _has_digit(value: str) -> bool:
    return any(c.isdigit() for c in value)


def _is_mixed(value: str) -> bool:
    kinds = (str.isdigit, str.islower, str.isupper)
    return is_written(value) and all(any(map(kind, value)) for kind in kinds)


def _line(marks: str, before: str, *, after: str = _END, plain: bool = True) -> Rule:
    """A rule for lines that begin with a mark; with `plain`, the value may be a word."""
    pattern = re.compile(rf"{before}\s{{1,3}}{_ENCRYPTED}?{_VALUE}{after}", re.IGNORECASE)
    return Rule("password", tuple(marks.split(",")), pattern, _is_given if plain else is_password)


_NAME = r"\S{1,80}"

DEVICES = (
    _line("enable secret,enable password", r"enable (?:secret|password)(?: level \d{1,2})?"),
    _line(
        "username ",
        rf"username (?!and |or |with ){_NAME}(?: privilege \d{{1,2}}| role \S{{1,30}}){{0,2}}"
        r" (?:common-criteria-)?(?:password|secret)",
    ),
    _line(
        "snmp-server community", "snmp-server community", after=r"(?=\s{1,3}(?i:R[OW]|view)\b|\n|$)"
    ),
    _line(
        "snmp-server host",
        rf"snmp-server host {_NAME}(?: (?:traps|informs|version|2c|1|vrf \S{{1,30}})){{0,4}}",
        after=r"(?=\s|$)",
    ),
    _line(
        "snmp community",
        "snmp community",
        after=r"(?=\s{1,3}(?:authorization|clients)|;|\s*\{|\n|$)",
    ),
    _line("rocommunity,rwcommunity", r"r[ow]community6?", after=r"(?=\s|$)"),
    _line(
        "tacacs-server,radius-server,tacacs server,radius server",
        rf"(?:tacacs|radius)[- ]server(?: (?:host )?{_NAME}| (?:auth|acct)-port \d{{1,5}}){{0,4}}"
        " key",
    ),
    _line("isakmp key", "isakmp key", after=r"(?=\s{1,3}(?:address|hostname)\b)"),
    _line("neighbor ", r"neighbor [\w.:-]{0,40}[\d:.][\w.:-]{0,40} password"),
    _line("authentication key", "authentication key", plain=False),
    _line("pre-shared-key address", rf"pre-shared-key address {_NAME}(?: \S{{1,40}})? key"),
    _line(
        "snmp-server user",
        r"snmp-server user [^\n]{1,80}? auth (?:md5|sha)[-\d]{0,4}",
        after=r"(?=\s|$)",
    ),
    _line(
        "snmp-server user",
        r"snmp-server user [^\n]{1,200}? priv (?:3?des|aes)[-\d]{0,4}(?: \d{3})?",
        after=r"(?=\s|$)",
    ),
    Rule(
        "password",
        ("password ", "secret ", "key "),
        re.compile(
            r"(?:password|secret|key)\s{1,3}(?:[5-9]|encrypted)\s{1,3}"
            r"(?P<secret>\$\w{1,8}\$\S{6,200}|[0-9A-F]{2}(?:[0-9A-F]{2}){3,60})(?=\s|$)"
        ),
        _has_digit,
    ),
    _line("key-string", "key-string", plain=False),
    _line("md5 ", r"(?<=\d )md5"),
    _line("authentication-key", "authentication-key(?: \\d{1,3})?(?: md5)?", plain=False),
    _line("standby ", r"standby \d{1,4} authentication(?: (?:text|md5 key-string))?"),
    _line(
        "chap password,pap sent-username", rf"(?:chap password|pap sent-username {_NAME} password)"
    ),
    _line("wpa-psk", "wpa-psk"),
    _line("pre-shared-key", "pre-shared-key", plain=False),
    _line(
        "encrypted-password,plain-text-password", r"(?:encrypted|plain-text)-password(?:-value)?"
    ),
    _line("ascii-text", "ascii-text"),
    _line(
        "set pass,set psksecret,set secret,set key",
        r"set (?:passw(?:or)?d|passphrase|psksecret|secret|key)",
        plain=False,
    ),
    Rule(
        "password",
        (" password ", " password\t"),
        re.compile(rf"(?<=\n)[^\S\n]password\s{{1,3}}{_ENCRYPTED}?{_VALUE}{_END}"),
        _is_mixed,
    ),
    _line("createuser ", r"createUser \S{1,60} (?:MD5|SHA[-\d]{0,4})", after=r"(?=\s|$)"),
    Rule(
        "password",
        ("createuser ",),
        re.compile(
            r"(?i)createUser \S{1,60} \S{1,10} \S{1,200} (?:DES|AES[-\d]{0,4}) [\"']?"
            r"(?P<secret>[^\s\"']{6,200})"
        ),
        _is_given,
    ),
    _line("masterauth,requirepass", "(?:masterauth|requirepass)"),
    Rule(
        "password",
        ("rootpw",),
        re.compile(r"(?i)rootpw:?\s{1,20}(?:\{\w{1,10}\})?(?P<secret>[^\s{}<>]{6,200})(?=\s|$)"),
        is_password,
    ),
)
"""Lines of Cisco, Juniper, Fortinet and their likes, and of servers whose settings look so."""
