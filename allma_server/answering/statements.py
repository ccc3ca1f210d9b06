"""What a sentence states: its words, figures and names, and whether it is negated.

Only words decide, so it is fast and the same for every model. Languages without spaces or without
capital letters have fewer of these marks, and are judged by their words.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from allma_server._internal.tokens import STOP_WORDS, lexemes

_STOP_STEMS = STOP_WORDS.union(*map(lexemes, STOP_WORDS))
"""Stop words as `lexemes` returns them: "does" becomes "doe"."""

# fmt: off
_NEGATIONS = frozenset("""
not no never neither nor none nothing nobody without cannot excluded excludes forbidden prohibited
prohibits rejected banned verboten untersagt interdit interdite prohibido prohibida vietato
nein nee nej nei nicht kein keine keinen keiner keinem nie niemals weder ohne nichts
ne pas aucun aucune jamais sans ni rien ningún ninguna ningun nunca sin tampoco nada
non nessun nessuna nessuno mai senza não nenhum nenhuma sem niet geen nooit zonder niets
nie brak żaden żadnych inte ingen inget inga ikke aldrig utan uten
не нет ни без никогда değil yok yoktur δεν μη χωρίς لا ليس لم لن नहीं
""".split())
YES = "yes ja jawohl oui sí sì si sim tak да ναι evet نعم हाँ はい 是 是的 네 예".split()
# fmt: on
# Between marks only: "Yes, …", "Answer: yes." but not "the SIM card".
_YES_ALONE = re.compile(rf"(^\W*|[^\w\s]\s*)(?:{'|'.join(YES)})(?!\w)(?=\s*(?:[^\w\s]|$))", re.I)
_NEGATED_PART = re.compile(r"n['’]t\b|\bn['’](?=\w)|[不没沒未無无]|ない|ません|없|않|아니", re.I)
_CONTRACTED = re.compile(r"n['’]t$|^n['’]\w", re.I)
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*")
# A score or a range. Not the parts of a date, a telephone number or years.
_PAIR = re.compile(r"(?<![\w.,-])(\d{1,3})[-–](\d{1,3})(?![\w.,]*[\d-])(?:\W+(\w+))?")
_TOKEN = re.compile(r"\w+(?:['’]\w+)?")
_THOUSANDS = re.compile(r"[.,](?=\d{3}(?:\D|$))")
_IDENTIFIER = re.compile(r"\b(?=\w*[^\W\d_])(?=\w*\d)\w+\b")
_NAME = re.compile(r"(?<=[\w,;:)’'\"“] )[\"“(]?([A-ZÀ-ÖØ-ÞΑ-ΩА-Я][\w’'-]*)")
_AROUND_WORDS = ".,;:!?…()[]{}\"“”„«»'’*_`"
_NEGATION_WINDOW = 4
"""Words before and after a negation that it may be about."""

_WORD_NUMBERS = {
    word: str(number)
    for number, word in [
        *enumerate(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
            " fifteen sixteen seventeen eighteen nineteen twenty".split()
        ),
        *zip(
            range(30, 100, 10),
            "thirty forty fifty sixty seventy eighty ninety".split(),
            strict=True,
        ),
    ]
}


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence, or several that are judged as one.

    `words`: the stems of its content words, without figures and yes. `figures`: its numbers, in one
    spelling. `names`: stems of capitalised words inside it and of identifiers with digits; they are
    among the words too. `denied`: the words near a negation. `paired`: figures that only occur in
    pairs such as `45-17`, each with its partner and the word after the pair.
    """

    words: frozenset[str]
    figures: frozenset[str]
    names: frozenset[str]
    negated: bool
    denied: frozenset[str] = frozenset()
    paired: frozenset[tuple[str, frozenset[str]]] = frozenset()

    @property
    def terms(self) -> frozenset[str]:
        """Its words and figures."""
        return self.words | self.figures


@lru_cache(2048)
def read_statement(text: str) -> Statement:
    """Return what a text states."""
    figures = frozenset(map(_normalize, _NUMBER.findall(text)))
    parts = (part.strip(_AROUND_WORDS) for part in text.lower().split())
    spelled = {_WORD_NUMBERS[part] for part in parts if part in _WORD_NUMBERS}
    plain = _YES_ALONE.sub(r"\1", text)
    terms = [t for t in lexemes(plain) if t not in _STOP_STEMS and t not in _WORD_NUMBERS]
    words = frozenset(t for t in terms if t not in _NEGATIONS and not t[0].isdigit())
    names = {term for name in _NAME.findall(text) for term in lexemes(name)}
    names |= {term for name in _IDENTIFIER.findall(text) for term in lexemes(name)}
    return Statement(
        words,
        figures | spelled,
        frozenset(names & words),
        is_negated(text),
        _denied(text, words),
        _paired(text),
    )


def is_negated(text: str) -> bool:
    """Return whether a sentence contains a negation, in one of about twenty languages."""
    if _NEGATED_PART.search(text):
        return True
    return any(word in _NEGATIONS for word in re.findall(r"\w+", text.lower()))


def count_negations(text: str) -> int:
    """Return how many words deny something; the French "ne … pas" is one of them."""
    words = [token.lower() for token in _TOKEN.findall(text)]
    return sum(word in _NEGATIONS - {"ne"} or word.endswith(("n't", "n’t")) for word in words)


def _denied(text: str, words: frozenset[str]) -> frozenset[str]:
    """Return the words near a negation; all of them in languages without spaces."""
    tokens = [token.lower() for token in _TOKEN.findall(text)]
    at = [n for n, token in enumerate(tokens) if token in _NEGATIONS or _CONTRACTED.search(token)]
    if not at:
        return words if _NEGATED_PART.search(text) else frozenset()
    near = {t for n in at for t in tokens[max(0, n - _NEGATION_WINDOW) : n + _NEGATION_WINDOW + 1]}
    return words.intersection(lexemes(" ".join(near)))


def _paired(text: str) -> frozenset[tuple[str, frozenset[str]]]:
    """Return the figures that only occur in pairs, each with what shows that it is meant."""
    alone = set(map(_normalize, _NUMBER.findall(_PAIR.sub(" ", text))))
    return frozenset(
        (figure, frozenset((partner, *lexemes(following))))
        for first, second, following in _PAIR.findall(text)
        for figure, partner in ((first, second), (second, first))
        if figure not in alone
    )


def _normalize(number: str) -> str:
    """Return a number without signs between thousands, and with a decimal point."""
    return _THOUSANDS.sub("", number).replace(",", ".")
