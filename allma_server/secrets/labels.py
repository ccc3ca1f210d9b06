"""The words by which people of many languages name passwords and tokens, found in a text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from allma_server.secrets.rules import MarkedText, declared

_PASSWORD = (
    r"pass(?:wor[dt]s?|wörter|wds?|wort|phrases?|codes?|ord(?:et)?)|pwd|pw(?=[ \t]?:)|"
    r"kennw(?:ort|örter)|zugangscodes?|contrase[nñ]as?|claves?|mots? de passe|mdp|senhas?|"
    r"palavras?-passe|parola(?: d'ordine)?|parol[eă]?|parool|"
    r"wachtwoord(?:en)?|l[oö]senord(?:et)?|adgangskode[nr]?|"
    r"salasanat?|heslo|has[lł]o|şifre(?:niz)?|jelszó|lozinka|geslo|slaptažodis|mật khẩu|kata sandi|"
    r"парол[ьяиа]|лозинка|κωδικ[όο]ς|συνθηματικό|密码|密碼|口令|パスワード|暗証番号|비밀번호|암호|"
    r"(?:wlan|wi-?fi|netzwerk)[ -]?schlüssel|(?:wi-?fi|wlan|network) key|"
    r"كلمة (?:المرور|السر)|סיסמ[הא]|رمز عبور|گذرواژه|पासवर्ड|รหัสผ่าน"
)
_TOKEN = (
    r"(?:api|access|auth|secret|private|licen[cs]e|encryption|account|app|admin|deploy|bot|client)"
    r"[ _-]?(?:keys?|tokens?|secrets?)|tokens?|secrets?|api-(?:schlüssel|sleutel)|clé d'api|"
    r"密钥|密鑰|токен|トークン|토큰"
)
_LOCK = r"(?:alarm|door|gate|garage|lock|keypad|entry|safe)"
_LABEL = re.compile(
    rf"(?<![.a-z0-9\u00df-\u04ff])(?:(?P<password>{_PASSWORD})|(?P<token>{_TOKEN})|"
    rf"(?P<pin>pins?|puk|{_LOCK} code))"
    r"(?:(?![^\W_]|\.\w)|(?<=[^\x00-\u2e7f]))"
)
_MARKS = declared(
    "pass pw kennw zugangscode contrase clave mdp senha parol wachtwoord losenord adgangskode "
    "salasana heslo haslo lozinka geslo sandi token secret pin puk".split()
    + [f"{lock} code" for lock in "alarm door gate garage lock keypad entry safe".split()]
)
_OTHER_MARKS = declared(
    "lösenord schlüssel hasło şifre jelszó slaptažodis khẩu парол лозинка κωδικ συνθημ 密 口令 "
    "パスワード 暗証番号 비밀번호 암호 كلمة סיסמ رمز گذر पासवर्ड รหัส api токен トークン 토큰".split()
)
_EVERY_MARK = _MARKS + _OTHER_MARKS
_LONGEST = 18


@dataclass(frozen=True, slots=True)
class Label:
    """`text[start:end]` names a password, a token or a PIN."""

    start: int
    end: int
    kind: str


def labels(marked: MarkedText) -> Iterator[Label]:
    """What names a secret, in order."""
    lowered = marked.lowered
    marks = _MARKS if lowered.isascii() else _EVERY_MARK
    for start, end in marked.regions(marks, _LONGEST):
        for found in _LABEL.finditer(lowered, start, end):
            assert found.lastgroup is not None
            yield Label(*found.span(), found.lastgroup)
