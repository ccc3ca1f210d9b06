"""Secrets in sentences: `the password for the router is …`, `Login: bob / …`, phrases of words."""

import re
from collections.abc import Iterable, Iterator

from allma_server.secrets.labels import Label
from allma_server.secrets.passphrases import is_passphrase
from allma_server.secrets.rules import MarkedText, declared
from allma_server.secrets.spans import Span
from allma_server.secrets.values import is_random, is_varied, is_written, is_written_word

_LONGEST_SENTENCE = 160
_SENTENCE_END = re.compile(r"[.!?;。！？](?=\s|$)|[。！？]|\n")
_VERB = (
    r"is|was|are|were|ist|war|lautet|lauten|sind|est|è|é|es|era|er|är|on|jest|to|je|adalah|là|"
    r"reads|becomes"
)
_ADVERB = r"(?:now|still|currently|always|just|simply|set to|changed to|jetzt|nun|ahora|maintenant)"
_LINK = re.compile(
    rf"(?:(?P<verb>(?<!\w)(?:{_VERB})(?!\w)(?:[^\S\n]+{_ADVERB}(?!\w))?)|"
    r"(?P<cjk>[は是为為는은])|(?P<sign>[:：=](?!//)|=>|->|→|[—–]|(?<=\s)--?(?=\s)))[^\S\n]{0,3}"
    r":?(?:[*_]{1,3}|</\w{1,10}>)?[^\S\n]{0,3}"
)
_QUOTES = "\"'`“”„‘’‚«»「」『』"
_VALUE = re.compile(
    rf"(?:[*_]{{1,3}}|\\[a-z]{{2,12}}\{{)?(?:(?P<open>[{_QUOTES}])[*_ \u00a0]{{0,2}}"
    rf"(?P<quoted>[^\s{_QUOTES}]{{4,120}}?|[^\n{_QUOTES}]{{8,120}}?)[*_ \u00a0]{{0,2}}[{_QUOTES}]|"
    rf"(?P<bare>[!-~\u00c0-\u04ff](?:(?![{_QUOTES}<>|])[!-~\u00c0-\u04ff]){{3,199}}))"
)
_AFTER_A_VALUE = re.compile(r"[^\S\n]{0,2}(?:,|/|and|or|und|oder|et|ou|y|o|e)[^\S\n]{1,2}")
# Before a label that stands at the beginning of a line or sentence, there is no code.
_PROSE_BEFORE = re.compile(
    r"(?:^|\n|[.!?,;(] |[/|] )(?:[\s>*#•·\d.)(_-]|<\w{1,10}>){0,12}"
    r"(?:[^\W\d_][\w'’-]*[^\S\n]){0,6}[*_]{0,3}$"
)
_WORDS_BETWEEN = re.compile(r"[\w '’@(),./&*_\t\"-]{0,90}")
_ALONE = re.compile(
    r"[*_]{0,3}[^\S\n]{0,3}[:：]?[*_]{0,3}[^\S\n]{0,3}\n(?:[^\S\n]*\n)?[^\S\n]{0,8}"
    r"(?=\S+[^\S\n]*(?:\n|$))"
)
_DIRECTLY = re.compile(r"[^\S\n]{1,2}(?:[*_]{1,2})?")
_LINE_END = re.compile(r"[\s\"'`*_.;,)]{0,4}(?:\n|$)")
_PIN = re.compile(
    r"(?:[- ]?(?:codes?|number|nummer))?(?:[^\S\n]*[:=#]|[^\S\n]+(?:is|ist|lautet|est|es|var|to|è))"
    r"[^\S\n]{0,3}[\"'`*]{0,3}(?P<secret>\d{3,8})(?![\w.,-]?\d|\w)"
)
_LOGIN = re.compile(
    r"(?:wi-?fi|wlan|login|log ?in (?:with|as)|sign in (?:with|as)|credentials?|account|"
    r"user(?:name)?|anmeldung|zugang(?:sdaten)?|identifiants?|accesso|acceso)\w{0,2}(?:[^\S\n]+for(?:[^\S\n]+\w{1,20}){1,3})?"
    r"(?:[^\S\n]*(?:[:=]|with|as|are|is|mit))?"
    r"[^\S\n]{1,3}[\"'`*]{0,2}[\w.@+-]{2,60}[\"'`*]{0,2}[^\S\n]{0,2}[/|:,][^\S\n]{0,2}"
    r"(?:(?:pass|pw)[^\S\n]?[:=][^\S\n]?)?[\"'`*]{0,2}"
)
_LOGIN_MARKS = declared(
    "login|log in|sign in|wi-fi:|wifi:|wlan:|credential|account:|user:|username:|anmeldung|zugang|"
    "identifiant|accesso:|acceso:".split("|")
)
_PHRASE_NAME = re.compile(
    r"(?:(?:seed|mnemonic|recovery|backup|secret|wallet|wiederherstellungs|startup)[ _-]?"
    r"(?:phrases?|words?|seed)|mnemonics?|seed|12 words|24 words|frase semilla|"
    r"phrase de récupération|助记词|シードフレーズ|сид-фраза)$"
)
_NUMBERED = r"(?:\d{1,2}[.)]?\s{0,3})?[a-z]{3,8}"
_PHRASE = re.compile(
    r"[\"'`*)]{0,3}(?:[^\S\n]+[\w-]{1,20}){0,5}?[^\S\n]{0,3}[:=|]?[\s\"'`*>]{0,8}"
    rf"(?P<secret>{_NUMBERED}(?:(?:,?\s{{1,4}}|,){_NUMBERED}){{11,23}})(?![\w'-]|,? ?[a-z])"
)
_PHRASE_MARKS = declared(
    "phrases|phrase|words|mnemonics|mnemonic|seed|semilla|récupération|助记词|シードフレーズ|сид-фраза".split(
        "|"
    )
)
_PHRASE_SIZES = frozenset({12, 15, 18, 21, 24})
# None of these is in the word lists that phrases are made of.
_NO_PHRASE = frozenset("the and for are with was has can not its from into been which".split())


def in_prose(marked: MarkedText, labels: Iterable[Label]) -> Iterator[Span]:
    """What a sentence or a line of a note gives as a password, a token or a PIN."""
    text, lowered = marked.text, marked.lowered
    for label in labels:
        if label.kind == "pin" or "code" in lowered[label.start : label.end]:
            pin = _PIN.match(lowered, label.end)
            if pin and (text[label.start].isupper() or " " in lowered[label.end : pin.start(1)]):
                yield Span(*pin.span("secret"), "pin")
        if label.kind == "pin":
            continue
        if found := _after(text, lowered, label):
            yield Span(*found, label.kind)
            while (more := _AFTER_A_VALUE.match(lowered, found[1])) and (
                found := _written(text, more.end(), label.kind)
            ):
                yield Span(*found, label.kind)
    yield from _logins(marked)
    yield from _phrases(marked)


def _after(text: str, lowered: str, label: Label) -> tuple[int, int] | None:
    """The value that follows a label in its sentence."""
    if alone := _ALONE.match(text, label.end):
        return _written(text, alone.end(), label.kind) if _is_prose(text, label.start) else None
    end = label.end + _LONGEST_SENTENCE
    if stop := _SENTENCE_END.search(text, label.end, end):
        end = stop.start()
    directly = _DIRECTLY.match(text, label.end)
    found = _written(text, directly.end(), label.kind) if directly else None
    if found and is_varied(text[slice(*found)]):
        return found
    for link in _LINK.finditer(lowered, label.end, end):
        if not _WORDS_BETWEEN.fullmatch(text, label.end, link.start()):
            break
        found = _written(text, link.end(), label.kind, weak=bool(link["verb"]))
        if found and _gives(text, label, link, found):
            return found
    return None


def _gives(text: str, label: Label, link: re.Match[str], found: tuple[int, int]) -> bool:
    """Whether what links a label with a value says that this is the value."""
    if link["verb"] == "to" and text[label.start : label.end].lower().startswith("pass"):
        return link.end() < found[0] or is_varied(text[slice(*found)])
    if link["sign"] is None:
        return True
    if link["sign"] in ("-", "--"):
        return is_varied(text[slice(*found)])
    if link["sign"] == "=" and not _LINE_END.match(text, found[1]):
        return False
    return _is_prose(text, label.start)


def _is_prose(text: str, at: int) -> bool:
    """Whether what stands before a label on its line are words, not code."""
    return _PROSE_BEFORE.search(text, max(0, at - 120), at) is not None


def _written(text: str, at: int, kind: str, *, weak: bool = False) -> tuple[int, int] | None:
    """Where the value at a place begins and ends, if it is a secret."""
    match = _VALUE.match(text, at)
    if match is None:
        return None
    group = "quoted" if match["quoted"] else "bare"
    start, end = match.span(group)
    if group == "bare":
        value = match[group].rstrip(".,;:*_")
        if not any(c in value for c in "([{"):
            value = value.rstrip(")]}.,;:*_")
        end = start + len(value)
    value = text[start:end]
    if "\\" in value:  # of a formatter's text
        return None
    if kind == "token":
        is_path = "/" in value and ("." in value or "_" in value)
        return (start, end) if is_random(value) and not is_path else None
    if group == "quoted" and kind == "password" and is_passphrase(value):
        return start, end
    if is_written(value) or (weak and group == "quoted" and is_written_word(value)):
        return start, end
    return None


def _logins(marked: MarkedText) -> Iterator[Span]:
    """Passwords that stand behind a name, as in `Login: bob / …`."""
    for mark in marked.present(_LOGIN_MARKS):
        for at in marked.places(mark):
            login = _LOGIN.match(marked.lowered, at)
            if login and (found := _written(marked.text, login.end(), "password")):
                yield Span(*found, "password")


def _phrases(marked: MarkedText) -> Iterator[Span]:
    """Phrases of 12 to 24 words that open a wallet."""
    for mark in marked.present(_PHRASE_MARKS):
        for at in marked.places(mark):
            end = at + len(mark)
            if not _PHRASE_NAME.search(marked.lowered, max(0, at - 20), end):
                continue
            match = _PHRASE.match(marked.lowered, end)
            if match is None:
                continue
            words = re.findall(r"[a-z]{3,8}", match["secret"])
            if len(words) in _PHRASE_SIZES and _NO_PHRASE.isdisjoint(words):
                yield Span(*match.span("secret"), "seed phrase")
