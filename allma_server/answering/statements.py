"""What a sentence states: its words, figures and names, and whether it is negated.

Only words decide, so it is fast and the same for every model. Languages without spaces or without
capital letters have fewer of these marks, and are judged by their words.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from allma_server._internal.tokens import STOP_WORDS, lexemes

# fmt: off
_NEGATIONS = frozenset("""
not no never neither nor none nothing nobody without cannot excluded excludes forbidden prohibited
prohibits rejected nicht kein keine keinen keiner keinem nie niemals weder ohne nichts
ne pas aucun aucune jamais sans ni rien ningún ninguna ningun nunca sin tampoco nada
non nessun nessuna nessuno mai senza não nenhum nenhuma sem niet geen nooit zonder niets
nie brak żaden żadnych inte ingen inget inga ikke aldrig utan uten
не нет ни без никогда değil yok yoktur δεν μη χωρίς لا ليس لم لن नहीं
""".split())
# fmt: on
_NEGATED_PART = re.compile(r"n['’]t\b|\bn['’](?=\w)|[不没沒未無无]|ない|ません|없|않|아니", re.I)
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*")
_THOUSANDS = re.compile(r"[.,](?=\d{3}(?:\D|$))")
_IDENTIFIER = re.compile(r"\b(?=\w*[^\W\d_])(?=\w*\d)\w+\b")
_NAME = re.compile(r"(?<=[\w,;:)’'\"“] )[\"“(]?([A-ZÀ-ÖØ-ÞΑ-ΩА-Я][\w’'-]*)")
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])[\"”’)\]]*\s+|(?<=[。！？])|\n+")
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

    `words`: the stems of its content words without figures. `figures`: its numbers, in one
    spelling. `names`: stems of capitalised words inside it and of identifiers with digits; they are
    among the words too.
    """

    words: frozenset[str]
    figures: frozenset[str]
    names: frozenset[str]
    negated: bool

    @property
    def terms(self) -> frozenset[str]:
        """Its words and figures."""
        return self.words | self.figures


@lru_cache(2048)
def read_statement(text: str) -> Statement:
    """Return what a text states."""
    figures = frozenset(map(_normalize, _NUMBER.findall(text)))
    spelled = {_WORD_NUMBERS[w] for w in text.lower().split() if w in _WORD_NUMBERS}
    terms = [t for t in lexemes(text) if t not in STOP_WORDS and t not in _WORD_NUMBERS]
    words = frozenset(t for t in terms if t not in _NEGATIONS and not t[0].isdigit())
    names = {term for name in _NAME.findall(text) for term in lexemes(name)}
    names |= {term for name in _IDENTIFIER.findall(text) for term in lexemes(name)}
    return Statement(words, figures | spelled, frozenset(names & words), is_negated(text))


def is_negated(text: str) -> bool:
    """Return whether a sentence contains a negation, in one of about twenty languages."""
    if _NEGATED_PART.search(text):
        return True
    return any(word in _NEGATIONS for word in re.findall(r"\w+", text.lower()))


def split_sentences(text: str) -> list[str]:
    """Return the sentences and lines of a text."""
    return [part for part in _SENTENCE_END.split(text) if re.search(r"\w", part)]


def _normalize(number: str) -> str:
    """Return a number without signs between thousands, and with a decimal point."""
    return _THOUSANDS.sub("", number).replace(",", ".")
