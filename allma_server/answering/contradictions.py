"""Find sentences of two passages that say the opposite about the same thing.

Two sentences contradict each other if they have the same words and differ in exactly one of: a
figure, a name, or whether they are negated. Where each also has words of its own, they are about
different things (another year, place or condition), so few alarms are false and paraphrases are
missed.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import permutations

from allma_server.answering.sentences import is_prose, split_sentences
from allma_server.answering.statements import Statement, read_statement
from allma_server.answering.word_comparison import function_words
from allma_server.types import Passage

MIN_ALIKE = 0.6
"""Share of the words of the longer of two sentences that the other one has too."""

MIN_RELEVANT = 0.5
"""Share of the answer's words in a sentence that it may be based on."""

_PREFIX = 5
"""Letters that two words begin with if they are forms of one, as employs and employees."""

_MEASURES = (
    "height high tall high length long width wide depth deep age old strength strong"
    " hohe hoch alter alt gewicht schwer hauteur haut longueur long largeur larg"
    " altura alto altezza alto"
).split()
_ADJECTIVES: Mapping[str, str] = dict(zip(_MEASURES[::2], _MEASURES[1::2], strict=True))
"""Stems of measures whose adjectives begin otherwise: who is 31 metres high has such a height."""

_GERMAN = frozenset({"der", "das", "den", "dem", "ist", "sind", "wird", "und"})
"""With one of these, a sentence is German, where a capital letter is no sign of a name."""

_OPPOSITES: list[Sequence[str]] = [
    pair.split()
    for pair in (
        "open close", "includ exclud", "allow forbid", "allow forbidden", "allow prohibit",
        "permit forbid", "permit prohibit", "increas decreas", "true fals", "enabl disabl",
        "start stop", "more less", "alway never", "accept reject", "requir option", "min max",
    )
]  # fmt: skip


def find_contradiction(answer: str, passages: Sequence[Passage]) -> tuple[int, int] | None:
    """Return the numbers of two passages that contradict each other on what an answer says.

    None if there are none. At least one of the two sentences has most words of a sentence of the
    answer.
    """
    answered = [read_statement(sentence) for sentence in split_sentences(answer)]
    # Each sentence of a passage once: what is repeated in it costs nothing.
    sentences = dict.fromkeys(
        (number, read_statement(sentence))
        for number, passage in enumerate(passages, start=1)
        for sentence in split_sentences(passage.text)
        # Rows of tables, lists, code and addresses differ without saying the opposite.
        if is_prose(sentence)
    )
    for a, one in sentences:
        if _is_relevant(one, answered):
            for b, other in sentences:
                if a != b and _contradict(one, other):
                    return min(a, b), max(a, b)
    return None


def _is_relevant(sentence: Statement, answered: Sequence[Statement]) -> bool:
    return any(
        statement.words
        and len(statement.words & sentence.words) >= MIN_RELEVANT * len(statement.words)
        for statement in answered
    )


def _contradict(one: Statement, other: Statement) -> bool:
    names = _names(one) - other.names, _names(other) - one.names
    own = list(_own_words(one, other)), list(_own_words(other, one))
    is_opposite = _are_opposite(*own)
    if (all(own) and not is_opposite) or bool(names[0]) != bool(names[1]):
        return False
    # Nouns of German are names: those of both sentences are words, and others tell nothing.
    is_german = bool(_GERMAN & one.words)
    if names[0] and is_german:
        return False
    plain = [
        s.words - function_words(s.words) - (frozenset() if is_german else _names(s))
        for s in (one, other)
    ]
    longer = max(map(len, plain))
    alike = longer - max(len(own[0]), len(own[1])) + is_opposite
    if longer < 2 or alike < MIN_ALIKE * longer:
        return False
    figures = one.figures - other.figures, other.figures - one.figures
    differences = [
        bool(names[0] and names[1]),
        len(figures[0]) == 1 and len(figures[1]) == 1,
        (one.negated != other.negated) != is_opposite,
    ]
    if len(figures[0]) != len(figures[1]) or len(figures[0]) > 1:
        return False
    return sum(differences) == 1


def _own_words(one: Statement, other: Statement) -> Iterator[str]:
    """Yield the words of a sentence of which the other one has no form."""
    begin = {word[:_PREFIX] for word in other.words - _names(other)}
    said = {_ADJECTIVES.get(word, word) for word in other.words}
    for word in one.words - _names(one) - function_words(one.words):
        if len(word) >= _PREFIX and word[:_PREFIX] in begin:
            continue
        if word not in other.words and _ADJECTIVES.get(word, word) not in said:
            yield word


def _names(sentence: Statement) -> frozenset[str]:
    """Return the names in a sentence, without nouns that German begins with a capital."""
    return sentence.names.difference(_ADJECTIVES)


def _are_opposite(one: Sequence[str], other: Sequence[str]) -> bool:
    if len(one) != 1 or len(other) != 1:
        return False
    opposites = _opposites(one[0])
    return any(other[0].startswith(root) for root in opposites)


@lru_cache(4096)
def _opposites(word: str) -> tuple[str, ...]:
    """Return the beginnings of words that say the opposite of a word."""
    return tuple(
        other for pair in _OPPOSITES for root, other in permutations(pair) if word.startswith(root)
    )
