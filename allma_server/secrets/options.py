"""Passwords in short options of commands, which no name tells: `docker login -u bob -p …`."""

import re

from allma_server.secrets.passphrases import is_passphrase
from allma_server.secrets.rules import Rule
from allma_server.secrets.values import is_password

# A word, or what stands in quotes, which may have blanks in it.
_VALUE = (
    r"(?P<quote>[\"'])?(?P<secret>(?(quote)(?:(?!(?P=quote))[^\n]){4,200}|[^\s\"'|;<>`]{6,200}))"
)


def _is_option(value: str) -> bool:
    """Whether it is a password; in quotes, blanks may be part of one."""
    return is_password(value.replace(" ", "_")) or is_passphrase(value)


def _command(marks: str, command: str, option: str) -> Rule:
    """A rule for a command and the option whose value is a password."""
    pattern = re.compile(rf"{command}(?![\w-])[^\n|;]{{0,200}}?{option}{_VALUE}")
    return Rule("password", tuple(marks.split(",")), pattern, _is_option)


COMMANDS = (
    _command("mysql,mariadb", r"(?:mysql|mariadb)\w*", r"\s-p"),
    _command(
        "docker ,podman ,helm ,az ,buildah ,oras ",
        r"[a-z]{2,7}\s{1,3}(?:(?:registry|acr)\s{1,3})?login",
        r"\s-p[\s=]{1,3}",
    ),
    _command("mongo", r"mongo(?:sh|dump|restore|export|import)?", r"\s-p\s{1,3}"),
    _command("redis-cli", "redis-cli", r"\s(?:-a|--pass)\s{1,3}"),
    _command(
        "ldap",
        "ldap(?:search|modify|modrdn|add|delete|passwd|whoami|compare)",
        r"\s-w\s{1,3}",
    ),
    _command("zip ", "zip", r"\s-P\s{0,3}"),
    _command("7z,rar ", "(?:7z[ar]?|rar)", r"\s-(?:p|hp)"),
    _command("smbclient", "smbclient", r"\s(?:-U|--user)[\s=]{1,3}[\"']?[^\s%\"']{1,80}%"),
    _command("rdesktop,xfreerdp", "(?:rdesktop|xfreerdp)", r"\s(?:-p\s{1,3}|/p:)"),
    _command("ipmitool", "ipmitool", r"\s-P\s{1,3}"),
    _command("useradd,usermod", "user(?:add|mod)", r"\s(?:-p|--password)[\s=]{1,3}"),
    _command(
        "openssl ",
        r"openssl\s{1,3}(?:enc|aes|des|camellia|aria)[\w-]{0,20}",
        r"\s-k\s{1,3}",
    ),
    _command(
        "htpasswd",
        "htpasswd",
        r"\s-[A-Za-z]{0,4}b[A-Za-z]{0,4}\s{1,3}(?:\S{1,200}\s{1,3}){1,2}",
    ),
    Rule(
        "password",
        ("sqlplus", "sqlldr", "impdp ", "expdp ", "exp ", "imp ", "rman ", "connect "),
        re.compile(
            r"(?:sql(?:plus|ldr)|(?<!\w)(?:imp|exp)(?:dp)?|rman|connect)(?![\w-])[^\n|;]{0,200}?[\s=][\"']?"
            r"[\w$#]{1,60}/(?P<secret>[^\s@/\"']{4,100})@"
        ),
        is_password,
    ),
    _command("net user ", r"net\s{1,3}user", r"\s\w{1,40}\s(?=\S{6,200}\s{1,3}/(?i:add|active))"),
    _command("psexec", r"psexec\w{0,4}", r"\s-p\s{1,3}"),
    _command("schtasks", "schtasks", r"\s/(?i:rp)\s{1,3}"),
    _command("nmcli", "nmcli", r"\s(?:password|wifi-sec\.psk)\s{1,3}"),
    _command("netsh", "netsh", r"\skey="),
    _command(
        "echo ,printf ",
        "(?:echo|printf)",
        r"\s(?=[\"']?\S{6,200}\s{0,3}\|\s{0,3}(?:sudo\s[^\n|]{0,40}-\w{0,4}S|[^\n|]{1,100}-stdin))",
    ),
    _command("net use ", r"net\s{1,3}use", r"\s(?=\S{6,200}\s{1,3}/(?i:user):)"),
    _command(
        "echo ,printf ",
        "(?:echo|printf)",
        r"\s[\"']?[\w.-]{1,60}:(?=[^\n|]{1,200}\|[^\n|]{0,40}chpasswd)",
    ),
)
"""Commands that take a password in an option of one letter, or at a place of its own."""
