"""Compare the words of a question for a yes or no with those of a sentence.

A sentence may lack a word of the question that it says in another form, or by the opposite
("forbidden" for "allowed"). A word of its own may stand in the place of a missing one
("water" for "fire"), and then it is about something else.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from os.path import commonprefix

from allma_server._internal.tokens import STOP_WORDS, lexemes
from allma_server.answering.statements import Statement, read_statement

SAME_FORM = 6 / 7
"""Share of the letters of the longer of two words that forms of one begin with."""

# fmt: off
_LANGUAGES = {
    "is are was were do does did can could may might must should will would has have had": """
must shall also still ever already just please
""",
    "ist sind war waren hat haben kann können darf dürfen muss müssen soll wird werden gibt": """
der die das den dem des ein eine einen einem einer eines ist sind war waren wird werden wurde worden
hat haben gibt sein im in am an auf aus bei mit von vom zu zum zur für durch und oder ich wir man du
ihr sie er es mein meine meinen ihre unser darf dürfen kann können muss müssen soll auch
""",
    "est-ce peut-on puis-je dois-je faut-il y": """
le la les un une des du de ce que est sont être ont y a t il elle on je nous vous ils elles se au
aux en dans sur et ou pour par avec mon ma mes votre vos peut peux puis doit faut aussi
""",
    "puedo puede pueden debo es son está están hay tiene tienen": """
el la los las un una unos unas de del al en y o es son está están hay que se su sus mi mis por para
con lo le puedo puede pueden debo ser estar tiene tienen también
""",
}
"""What a question begins with, and words of its language that say little.

Only those of its own language: "die" and "war" say much in English. `STOP_WORDS` has the English.
"""
_OPPOSITES = """
allow permit admit admitted erlaubt gestattet zulässig permis autorisé admis permitido autorizado
- forbid forbidden prohibit ban banned verboten untersagt interdit prohibido
/ include contain cover enthalten inbegriffen inclus compris incluido
- exclude ausgeschlossen exclu excluido
/ need require necessary mandatory compulsory nötig notwendig erforderlich - optional freiwillig
/ accept - reject refuse
/ open geöffnet offen ouvert abierto - close geschlossen fermé cerrado
/ free kostenlos gratuit - charge cost fee kostenpflichtig payant
"""
"""Words that mean the same, and after the dash the opposite."""
_SAME = """
support offer provide available
/ more longer older over above exceed / less fewer shorter younger under below
/ bring brought / buy bought / sell sold / pay paid / keep kept / leave left / hold held / make made
/ take taken took / give given gave / write written wrote / wear worn wore / eat eaten ate
/ speak spoken spoke / drive driven drove / ride ridden rode / choose chosen chose / lose lost
/ find found / send sent / lend lent / spend spent / build built / teach taught / catch caught
/ run ran / begin begun began / swim swum swam / drink drunk drank / steal stolen stole
/ break broken broke
"""
"""Words that mean the same, and forms of verbs that no stemmer knows."""
_LIGHT_WORDS = "take make get give carry offer any more mehr plus ya"
"""Words that add nothing to a no: "is no longer", "no charge is made"; but not "more than"."""
# fmt: on

_FIRST_WORD = re.compile(r"\W*(([^\W\d_]+?(?:-\w+)?)(?:n['’]t)?)(?![\w'’-])")
_MODAL = re.compile(
    r"\W*(?:can|could|may|might|kann|können|darf|dürfen|peut-on|puis-je|pued\w+)\b", re.I
)
_ELIDED = re.compile(r"\b(?:[ldnjmtsc]|qu)['’](?=\w)|\b\w+n['’]t\b", re.I)
_CAPITALS = re.compile(r"\b[A-Z]+\b|(?<=[\w,;:] )[A-Z][a-z]*\b")
_THAN = re.compile(r"\b(?:more|longer|older|mehr|plus) (?:than|als|que|de)\b", re.I)
_FILE = re.compile(r"\b[^\W\d]\w+(?:[./]\w+)+")


def _split(text: str, mark: str) -> list[list[str]]:
    return [lexemes(part) for part in text.split(mark)]


_PAIRS = [_split(pair, "-") for pair in _OPPOSITES.split("/")]
_BASES = {
    word: words[0]
    for words in (*_split(_SAME, "/"), *(side for pair in _PAIRS for side in pair))
    for word in words
}
_KIND_OF = {words[0]: number for number, pair in enumerate(_PAIRS) for words in pair}
_PERMISSION = _KIND_OF["allow"]
_LIGHT = frozenset(_BASES.get(word, word) for word in lexemes(_LIGHT_WORDS))
_MORE = frozenset({"more", "mehr", "plus"})
_FUNCTION_WORDS = {
    word: frozenset(lexemes(_ELIDED.sub("", words)))
    for first, words in _LANGUAGES.items()
    for word in first.split()
}


def function_words(words: frozenset[str]) -> frozenset[str]:
    """Return which words of a sentence say little in its language, if that is not English.

    One such word alone may be of another language.
    """
    said = max((words & known for known in _FUNCTION_WORDS.values()), key=len)
    return said if len(said) > 1 else frozenset()


@dataclass(frozen=True, slots=True)
class Question:
    """A question for a yes or no.

    `words`: what it asks about; without its first word, and others that say little. `ignored`:
    those of its language. `labels`: what its words alone do not tell: plan A, in May, test.py.
    `is_modal`: whether it asks if something may or can be done.
    """

    words: frozenset[str]
    ignored: frozenset[str]
    labels: frozenset[str]
    is_modal: bool
    statement: Statement


@dataclass(frozen=True, slots=True)
class Comparison:
    """Words of a question that a text has, those that it lacks, and those that only it has.

    `otherwise`: words of the text that say the opposite of one of the question's, which is not
    missing then.
    """

    shared: frozenset[str]
    missing: frozenset[str]
    own: frozenset[str]
    otherwise: frozenset[str]


@lru_cache(64)
def read_question(text: str) -> Question | None:
    """Return what a question for a yes or no asks; None for any other text."""
    first = _FIRST_WORD.match(text)
    ignored = first and _FUNCTION_WORDS.get(first[2].lower())
    if first is None or ignored is None:
        return None
    ignored |= frozenset(lexemes(first[1]))
    return Question(
        words=terms_of(text) - ignored,
        ignored=ignored,
        labels=frozenset() if text.isupper() else labels_of(text),
        is_modal=_MODAL.match(text) is not None,
        statement=read_statement(text),
    )


def labels_of(text: str) -> frozenset[str]:
    """Return the capitalised words that are stop words in small letters, and names with points."""
    capitals = (word for word in _CAPITALS.findall(text) if word.lower() in STOP_WORDS - {"i"})
    return frozenset((*capitals, *_FILE.findall(text.lower())))


def compare(question: Question, text: str) -> Comparison:
    """Return which words a question and a text share, and which only one of them has."""
    own = terms_of(text) - question.ignored
    forms = [(a, b) for a in question.words - own for b in own if _are_forms(a, b)]
    shared = question.words & own | {a for a, _ in forms}
    missing, extra = question.words - shared, own - shared - {b for _, b in forms}
    kinds = {_KIND_OF.get(w) for w in missing} & {_KIND_OF.get(w) for w in own} - {None}
    otherwise = frozenset(word for word in own if _KIND_OF.get(word) in kinds)
    missing = frozenset(word for word in missing if _KIND_OF.get(word) not in kinds)
    # "May I" asks for what these say.
    answers = frozenset(w for w in extra if question.is_modal and _KIND_OF.get(w) == _PERMISSION)
    light = _LIGHT - _MORE if _THAN.search(text) else _LIGHT
    return Comparison(shared, missing, extra - otherwise - answers - light, otherwise)


@lru_cache(2048)
def terms_of(text: str) -> frozenset[str]:
    """Return the terms of a text, with the first of those that mean the same for all of them."""
    plain = _ELIDED.sub("", text)
    # Words such as "forbidden" are negations, and also what is said.
    return base_forms(read_statement(plain).terms | _BASES.keys() & lexemes(plain))


def base_forms(terms: frozenset[str]) -> frozenset[str]:
    """Return the first of the terms that mean the same as each."""
    return frozenset(_BASES.get(term, term) for term in terms)


def _are_forms(one: str, other: str) -> bool:
    longest = max(len(one), len(other))
    alike = one[:5] == other[:5] and not one[0].isdigit()
    return alike and len(commonprefix((one, other))) >= SAME_FORM * longest > 5
