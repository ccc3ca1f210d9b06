"""Find the sentence of a passage that decides a question for a yes or no.

Small models take a "no" that a text says for one about the text: asked whether phones are allowed,
they read "Phones are not allowed" and answer that the documents do not say it. Where a sentence has
nearly all words of the question, it decides, and they are neither asked whether there is an answer
nor believed that there is none. They also begin with "Yes" and go on with the "no" of the text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from allma_server._internal.tokens import lexemes
from allma_server.answering.prompt_injection import remove_injections
from allma_server.answering.statements import YES, read_statement, split_sentences
from allma_server.types import Passage

MIN_WORDS = 0.65
"""Share of a question's words in a sentence that decides it: two of three, as the third is often
said otherwise ("forbidden" for "not allowed"). Words in the titles above it need not be in it."""

MAX_LENGTH = 300
"""Characters of a sentence to quote; a longer one is probably no sentence."""

MAX_TITLE_WORDS = 5

_ASKED = re.compile(
    r"\W*(?:is|are|was|were|do|does|did|can|could|may|might|must|should|will|would|has|have|had|"
    r"ist|sind|war|hat|haben|kann|können|darf|dürfen|muss|müssen|soll|wird|werden|gibt es|est-ce|"
    r"peut-on|puis-je|y a-t-il|puedo|puede|es|está|hay|tiene)\b",
    re.I,
)
_ABOUT_PERSON = re.compile(
    r"\W*\w+[ -](?:i|we|you|one|they|ich|wir|man|du|ihr|sie|je|on|nous|tu|vous|uno)\b", re.I
)
# A mark or the line's end follows, for some of them begin other sentences: "Si les chiens …".
_AFTER_YES = re.compile(
    rf"\W*(?:{'|'.join(YES)})(?!\w)(?=\s*[^\w\s]|[ \t]*\n)\W*(?:\[\d[\d, ]*\]\W*)*(?=[^\W\d])", re.I
)
_CITATION = re.compile(r"\[[\d, ]*\]?")
# The lines of a paragraph are one text; those of a list, a table or a title are not.
_WRAPPED = re.compile(r"(?<=[^\n.!?:|])\n(?=[^\W\d_])")
_MARKS = re.compile(r"^[\s>*+#-]+|[*_`]{1,3}(?=\w)|(?<=[\w.!?])[*_`]{1,3}")


def find_deciding_sentence(question: str, passages: Sequence[Passage]) -> tuple[int, str] | None:
    """Return the number of a passage, from 1, and its sentence that decides; None if none does.

    None for other questions than those for a yes or no. The first word of the question is mostly
    what it is about, so it must be in the sentence; or in a title, if the sentence has all others.
    A question about a person, such as "May I", begins with a verb, whose form may differ.
    """
    words = read_statement(question).words
    subject = next((term for term in lexemes(question) if term in words), "")
    found = [
        (each.shared, -each.number, each.sentence)
        for each in _matching_sentences(question, passages)
        if _ABOUT_PERSON.match(question) or subject not in each.missing
    ]
    _, number, sentence = max(found, default=(0, 0, ""), key=lambda each: each[:2])
    return (-number, sentence) if found else None


def denies(sentence: str, question: str) -> bool:
    """Return whether a sentence that decides a question says no to it."""
    asked, stated = read_statement(question), read_statement(sentence)
    return not asked.negated and bool(asked.words & stated.denied)


def text_after_yes(answer: str) -> str | None:
    """Return what follows the yes that an answer begins with; None if it is none, or nothing does.

    Citations of the yes are left out.
    """
    found = _AFTER_YES.match(answer)
    return answer[found.end() :] if found else None


def may_be_yes(beginning: str) -> bool:
    """Return whether an answer that begins like this may turn out to begin with a yes."""
    start = re.sub(r"\W", "", _CITATION.sub("", beginning)).lower()
    return bool(start) and any(word.startswith(start) for word in YES)


def may_be_decided(question: str, passages: Sequence[Passage]) -> bool:
    """Return whether a sentence may decide a question for a yes or no.

    What the question is about may be said before that sentence, so it does not suffice to quote it.
    """
    return any(_matching_sentences(question, passages))


@dataclass(frozen=True, slots=True)
class _Match:
    """A sentence of passage `number` that has `shared` words of the question.

    `missing`: its words that the sentence lacks; not those of a title above, if it has all others.
    """

    number: int
    sentence: str
    shared: int
    missing: frozenset[str]


def _matching_sentences(question: str, passages: Sequence[Passage]) -> Iterator[_Match]:
    """Yield the sentences with nearly all words of a question for a yes or no.

    Its names must be in the passage and its figures in the sentence, or both in a title above.
    """
    asked = read_statement(question)
    if len(asked.terms) < 2 or _ASKED.match(question) is None:
        return
    for number, passage in enumerate(passages, start=1):
        above = read_statement(_titles(passage)).terms
        if not asked.names <= above | read_statement(passage.text).terms:
            continue
        below = asked.terms - above if len(asked.terms - above) > 1 else asked.terms
        for sentence in _sentences(passage):
            own = read_statement(sentence).terms
            shared = len(asked.terms & own)
            is_near = shared >= MIN_WORDS * len(asked.terms)
            is_near |= len(below & own) >= MIN_WORDS * len(below)
            if is_near and asked.figures <= own | above:
                missing = frozenset[str]() if below <= own else asked.terms - own
                yield _Match(number, sentence, shared, missing)


def _titles(passage: Passage) -> str:
    """Return the headings above a passage, and the words of its file's name."""
    name = PurePath(passage.path).stem
    return " ".join((*passage.heading, re.sub(r"[-_]+", " ", name)))


def _sentences(passage: Passage) -> Iterator[str]:
    text = _WRAPPED.sub(" ", remove_injections(passage.text))
    for sentence in split_sentences(text):
        plain = _MARKS.sub("", sentence).strip()
        # A title decides nothing; items of a list may have no full stop.
        is_sentence = plain.endswith(tuple(".!?。！？")) or len(plain.split()) > MAX_TITLE_WORDS
        if is_sentence and len(plain) <= MAX_LENGTH:
            yield plain
