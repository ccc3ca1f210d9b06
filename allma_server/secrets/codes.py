"""Codes that open accounts without a password: seeds of one-time passwords, recovery codes, and
the numbers of payment cards.

They look like other numbers and words, so a word about them has to stand near by.
"""

import re
from collections.abc import Iterator

from allma_server.secrets.rules import MarkedText, declared
from allma_server.secrets.spans import Span

_NEAR = 160
"""Characters between a word and what it is about."""

_SEED_MARKS = declared(
    "otp|2fa|mfa|two-factor|two factor|authenticator|2-step|two-step|one-time pass".split("|")
)
_SEED = re.compile(
    r"(?<![\w+/-])(?P<secret>(?:[A-Z2-7]{4}[ -]){3,15}[A-Z2-7]{4}|"
    r"(?:[a-z2-7]{4}[ -]){3,15}[a-z2-7]{4}|"
    r"[A-Z2-7]{16,64}=*|[a-z2-7]{16,64})(?![\w+/=-]| [A-Z2-7]{4}\b)"
)

_CODES = re.compile(
    r"(?:recovery|security|backup|back-up|scratch|emergency|rescue|wiederherstellungs|notfall|secours|"
    r"recuperaci[oó]n|récupération|recupero|herstel|resgate)[ _-]?(?:codes?|keys?|schlüssel)|"
    r"(?:codes?|códigos|codici)(?: de| di)? (?:secours|recuperaci[oó]n|récupération|recupero|"
    r"respaldo)|(?:product|serial|licen[cs]e)[ _-]?key"
)
_CODE_MARKS = declared(
    "recovery security backup back-up scratch emergency rescue wiederherstellung notfall secours "
    "recuper recupero herstel resgate respaldo product serial license licence".split()
)
_CODE = r"(?:\d{4} \d{4}|[0-9A-Za-z]{4,10}(?:-[0-9A-Za-z]{4,10}){0,3})"
_BULLET = r"[\s\-*•·>|\[(\"']{0,12}(?:\d{1,2}[.):]\s{1,3})?[\"']?"
_CODE_LINE = re.compile(
    rf"{_BULLET}{_CODE}[\"'\]),|]{{0,3}}(?:[\s,;|]{{1,8}}{_BULLET}{_CODE}[\"'\]),|;]{{0,3}}){{0,19}}\s*"
)
_ONE_CODE = re.compile(_CODE)
_LONG_CODE = re.compile(
    r"[\"']?\s?(?:(?:is|ist|est|es)\s)?[:=#]?[\s\"'`*]{0,6}"
    r"(?P<secret>[0-9A-Za-z]{4,8}(?P<by>[ -])(?:[0-9A-Za-z]{4,8}(?P=by)){2,14}[0-9A-Za-z]{4,8})"
    r"(?![\w-])"
)
_AFTER_NAME = re.compile(r"[\"']?[^\S\n]{0,3}[:=]?[^\S\n]{0,3}")
_MOST_LINES = 24
_MOST_SKIPPED = 3
_FEWEST_CODES = 2

_CARD_MARKS = declared(
    ["card", "visa", "amex", "american express", "karte", "carte ", "tarjeta", "cartão", "carta di"]
    + ["cc_num", "ccnum", "karta", "pan=", "pan:", "カード", "卡号"]
)
_CARD = re.compile(
    r"(?<![\w.-])(?:\d{4}(?P<by>[ -]?)\d{4}(?P=by)\d{4}(?P=by)\d{4}(?P=by)?(?:\d{3})?|"
    r"3[47]\d\d(?P<amex>[ -]?)\d{6}(?P=amex)\d{5}|3[0689]\d\d(?P<din>[ -]?)\d{6}(?P=din)\d{4})"
    r"(?![\w-]|[.,]\d)"
)
_ISSUERS = re.compile(r"4|5[1-5]|2[2-7]|3[0-9]|6[0245]")
_CARD_CHECK = re.compile(
    r"(?i)\b(?:cvv2?|cvc2?|cvn|csc|security code|prüfziffer|kartenprüfnummer)\b[\"']?[^\S\n]{0,3}"
    r"[:=#]?[^\S\n]{0,3}[\"']?(?P<secret>\d{3,4})(?!\w)"
)


def codes(marked: MarkedText) -> Iterator[Span]:
    """Seeds, recovery codes and payment cards."""
    yield from _seeds(marked)
    yield from _recovery_codes(marked)
    yield from _cards(marked)


def _seeds(marked: MarkedText) -> Iterator[Span]:
    for mark in marked.present(_SEED_MARKS):
        for at in marked.places(mark):
            for seed in _SEED.finditer(marked.text, at, at + _NEAR):
                if sum(c.isdigit() for c in seed["secret"]) and not seed["secret"].isdigit():
                    yield Span(*seed.span("secret"), "seed of one-time passwords")


def _recovery_codes(marked: MarkedText) -> Iterator[Span]:
    for mark in marked.present(_CODE_MARKS):
        for at in marked.places(mark):
            named = _CODES.search(marked.lowered, max(0, at - 20), at + 40)
            if named is None or not named.start() <= at < named.end():
                continue
            one = _LONG_CODE.match(marked.text, named.end())
            if one and sum(c.isdigit() for c in one["secret"]) > 1:
                yield Span(*one.span("secret"), "recovery code")
            elif not named[0].startswith(("product", "serial", "licen")):
                yield from _listed(marked.text, named.end())


def _listed(text: str, at: int) -> Iterator[Span]:
    """The codes of a list that follows its name: on the same line, or on those below."""
    after = _AFTER_NAME.match(text, at)
    assert after is not None
    start, skipped = after.end(), 0
    found: list[Span] = []
    for _ in range(_MOST_LINES):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        line = text[start : min(end, start + 400)]
        if line.strip(" \t\r[](){}|\"'-"):
            spans = list(_codes_of(text, start, line)) if _CODE_LINE.fullmatch(line) else []
            if spans:
                found += spans
            elif found or (skipped := skipped + 1) > _MOST_SKIPPED:
                break
        start = end + 1
        if start > len(text):
            break
    if len(found) >= _FEWEST_CODES and _alike([text[s.start : s.end] for s in found]):
        yield from found


def _codes_of(text: str, at: int, line: str) -> Iterator[Span]:
    position = 0
    while code := _ONE_CODE.search(line, position):
        if any(c.isdigit() for c in code[0]):
            yield Span(at + code.start(), at + code.end(), "recovery code")
        position = code.end()


def _alike(found: list[str]) -> bool:
    """Whether codes have one shape, as those of a list have, and are no years or counts."""
    shapes = {tuple(map(len, re.split("[ -]", code))) for code in found}
    longest = max(sum(map(len, re.split("[ -]", code))) for code in found)
    return len(shapes) == 1 and longest >= 6


def _cards(marked: MarkedText) -> Iterator[Span]:
    known: set[int] = set()
    for mark in marked.present(_CARD_MARKS):
        for at in marked.places(mark):
            end = at + _NEAR
            while (card := _CARD.search(marked.text, at, end)) and card.start() not in known:
                at = card.end()
                if _is_card(card[0]):
                    known.add(card.start())
                    yield Span(*card.span(), "payment card")
                    # The next row of a table is not further away.
                    end = at + _NEAR
                    check = _CARD_CHECK.search(marked.text, max(0, card.start() - 60), at + 80)
                    if check:
                        yield Span(*check.span("secret"), "payment card")


def _is_card(number: str) -> bool:
    """Whether a number has an issuer's first digits and its check digit (Luhn)."""
    digits = [int(c) for c in number if c.isdigit()]
    if not _ISSUERS.match(number) or len(set(digits)) < 2:
        return False
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
