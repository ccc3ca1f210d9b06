"""Whether several words, with blanks between them, are a password: `correct horse battery staple`.

Sentences stand in the same places: labels, hints and messages of programs, in many languages. They
begin with a capital letter, have small words, or speak of passwords, characters and users.
"""

import re

from allma_server.secrets.values import entropy

_NOT_DRAWN = re.compile(r"[A-Za-z]{7}|[Aa0]-[Zz9]|\\[wds]")
_PHRASE_WORD = re.compile(r"[^\W_][\w'’-]*[!,;#$%&*+@]{0,3}")
# Small words of sentences; a phrase chosen as a password has few of them.
_SMALL = frozenset(
    "a an the of to in on at by as is are was be been it its this that these those and or not no "
    "if for from with will can may any all has have had do does than then when which who what into "
    "der die das den dem des ein eine einen ist sind und oder nicht kein keine mit von zu im am "
    "für le la les un une des du de et ou est sont pas pour avec dans sur el los las y o es son "
    "con por para en il lo gli e per non che da na het een van voor".split()
)
# Words of those who speak about a password.
_ABOUT = re.compile(
    r"enter|type|your|you|user|account|must|should|need|require|forgot|reset|change|confirm|again|"
    r"repeat|invalid|incorrect|wrong|passw|passphr|passc|pwd|contrase|senha|kennw|wachtw|lösen|adgangsk|salasana|heslo|mot$|match|min(?:imum)?$|max(?:imum)?$|least|most|"
    r"short|long$|length|char|digit|letter|symbol|word|value|string|text|field|input|empty|blank|"
    r"missing|expired?|default|example|sample|dummy|fake|here$|see$|show|hide|hidden|strength|weak|"
    r"strong|secure|protected|encrypt|decrypt|hash|salt|stored?$|sav(?:e|ed)$|send|sent|valid|error|"
    r"fail|please|choose|click|sign$|log$|login|code|email|e-mail|name|number|optional|none|null|"
    r"true|false|same|before|after|authentic|authoriz|access|list|prompt|reuse|policy|history|rule|type|option|"
    r"argument|param|config|setting|file|path|test|mock|stub|foo|bar|baz|lorem|ipsum|"
    r"zeichen|eingeben|benutzer|mindest|vergessen|ändern|ungültig|falsch|caract|introdu|saisi|"
    r"oublié|usuario|utilis|inser|deve|debe|doit|muss|bitte|voer|gebruiker",
    re.IGNORECASE,
)


def speaks_of_passwords(word: str) -> bool:
    """Whether a word is one of those that say something about passwords."""
    return _ABOUT.match(word) is not None or word.lower().endswith(("tion", "ment"))


def is_passphrase(value: str, *, strict: bool = False) -> bool:
    """Whether words with blanks between them are a password, not a sentence about one.

    With `strict`, as where nothing marks the end of the value, they are at least four in lower
    case, none of them a small word of sentences.
    """
    words = value.split(" ")
    if not 3 - any(c.isdigit() for c in value) <= len(words) <= 12 or len(value) < 8:
        return False
    if not all(map(_PHRASE_WORD.fullmatch, words)) or any(map(_ABOUT.match, words)):
        return False
    lowered = [word.lower() for word in words]
    small = sum(word in _SMALL for word in lowered)
    if strict:
        return len(words) > 3 and value.islower() and not small and min(map(len, words)) > 2
    if any(c.isdigit() for c in value):
        return small < len(words) / 2
    # Only its first word is written with a capital letter: a sentence or a title.
    if words[0][0].isupper() and value[1:].islower() and not value[0].isdigit():
        return False
    return small * 4 <= len(words) and any(len(word) > 3 for word in words)


def is_salt(value: str) -> bool:
    """Whether it is drawn from all characters, blanks among them."""
    if len(value) < 32 or _NOT_DRAWN.search(value):
        return False
    signs = sum(not c.isalnum() for c in value)
    kinds = (str.isdigit, str.islower, str.isupper)
    return signs > 3 and all(sum(map(k, value)) > 3 for k in kinds) and entropy(value) > 4.5
