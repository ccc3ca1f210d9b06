"""Find the sentence of a passage that decides a question for a yes or no.

Small models take a "no" that a text says for one about the text: asked whether phones are allowed,
they read "Phones are not allowed" and answer that the documents do not say it. Where a sentence has
all words of the question, or says no and has no others in their place, it decides, and they are
neither asked whether there is an answer nor believed that there is none. They also begin with "Yes"
and go on with the "no" of the text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from allma_server._internal.tokens import lexemes
from allma_server.answering.prompt_injection import remove_injections
from allma_server.answering.sentences import join_lines, split_sentences
from allma_server.answering.statements import (
    YES,
    count_negations,
    is_negated,
    read_statement,
)
from allma_server.answering.word_comparison import (
    Question,
    base_forms,
    compare,
    labels_of,
    read_question,
    terms_of,
)
from allma_server.types import Passage

MIN_WORDS = 0.65
"""Share of a question's words in a sentence that decides it: two of three, as the third may be said
otherwise ("forbidden" for "not allowed"). Words in the titles above it need not be in it."""

MAX_LENGTH = 300
"""Characters of a sentence to quote; a longer one is probably no sentence."""

MAX_TITLE_WORDS = 5

_ABOUT_PERSON = re.compile(
    r"\W*\w+[ -](?:i|we|you|one|they|ich|wir|man|du|ihr|sie|je|on|nous|tu|vous|uno)\b", re.I
)
# A word, or the beginning of one, and the marks and citations behind it.
_MAYBE_YES = re.compile(r"\W*([^\W\d_]+)([^\w\[]*(?:\[[\d, ]*\]?)?[^\w\[]*)")
# A mark or the line's end follows, for some of them begin other sentences: "Si les chiens …".
_AFTER_YES = re.compile(
    rf"\W*(?:{'|'.join(YES)})(?!\w)(?=\s*[^\w\s]|[ \t]*\n)\W*(?:\[\d[\d, ]*\]\W*)*(?=[^\W\d])", re.I
)
_OTHER = re.compile(
    r"[|{}<>=\\\t]|[?？]\W*$|^\W*(?:how|why|wie|warum|comment|pourquoi|cómo)\b", re.I
)
"""Rows of tables, whose columns have titles; code; and questions."""
_HYPOTHETICAL = r"\b(?:if|when|whether|unless|wenn|falls|ob|sofern|si|quand|cuando)\b"
_UNASSERTED = re.compile(rf"{_HYPOTHETICAL}[^,]*$", re.I)
_CONDITION = re.compile(rf"{_HYPOTHETICAL}|\b(?:except|until|außer|bis|sauf|salvo|excepto)\b", re.I)
_REASON = re.compile(r",?\s*\b(?:because|weil|parce que|porque)\b|;", re.I)
_PARTS = re.compile(
    rf"{_REASON.pattern}|[,:()–—]\s*|\s-\s|\b(?:but|aber|sondern|mais|pero)\b|"
    rf"(?={_HYPOTHETICAL})",
    re.I,
)
_CLAUSE = re.compile(_HYPOTHETICAL, re.I)
_PAST = re.compile(
    r"\b(?:was|were|did|had|war|waren|wurden?|hatten?|était|étaient|era|eran|fue|fueron)\b", re.I
)
_ASKED_OF_PAST = re.compile(rf"{_PAST.pattern}|^\W*(?:has|have|hat|haben)\b", re.I)
_WORD = re.compile(r"\w+")
_MARKS = re.compile(r"^[\s>*+#-]+|(?<!\w)[*_`]{1,3}(?=\w)|(?<=[\w.!?])[*_`]{1,3}(?!\w)")


def find_deciding_sentence(question: str, passages: Sequence[Passage]) -> tuple[int, str] | None:
    """Return the number of a passage, from 1, and its sentence that decides; None if none does.

    None for other questions than those for a yes or no, and if sentences that are as near to it say
    the opposite. The first word of the question is mostly what it is about, so it must be in the
    sentence; or in a title, if the sentence has all others. A question about a person, such as "May
    I", begins with a verb.
    """
    asked = read_question(question)
    if asked is None:
        return None
    subject = next((term for term in lexemes(question) if term in asked.words), "")
    found = [
        each
        for each in _matching_sentences(question, passages)
        if _ABOUT_PERSON.match(question) or subject not in each.missing
    ]
    nearest = min(map(_Match.distance, found), default=None)
    near = [each for each in found if each.distance() == nearest]
    if len({is_negated(each.part) for each in near}) != 1:
        return None
    return near[0].number, near[0].sentence


def find_nearest_sentence(question: str, passage: Passage) -> str | None:
    """Return the sentence that has most words of a question; None if none has half of them."""
    asked = terms_of(question)
    nearest = max(_sentences(passage), key=lambda s: len(asked & terms_of(s)), default="")
    return nearest if len(asked & terms_of(nearest)) > len(asked) / 2 else None


def denies(sentence: str, question: str) -> bool:
    """Return whether a sentence that decides a question says no to it.

    It does not if it is about less ("not after 30 days") or only about the past, has a condition
    ("unless"), or denies the opposite ("not forbidden", "not those that are not yours").
    """
    asked = read_question(question)
    if asked is None or asked.statement.negated:
        return False
    part = _main_part(asked, sentence)
    compared = compare(asked, part)
    if compared.own or count_negations(part) > 1 or _CONDITION.search(sentence.replace(part, "")):
        return False
    # "No ticket is needed if you were here" is about now.
    if _PAST.search(_CLAUSE.split(part)[0]) and not _ASKED_OF_PAST.search(question):
        return False
    said = [word for word in _WORD.findall(part) if compared.otherwise & terms_of(word)]
    if said:
        rest = _WORD.sub(lambda word: "" if word[0] in said else word[0], part)
        return is_negated(" ".join(said)) and not is_negated(rest)
    return bool(compared.shared & base_forms(read_statement(part).denied))


def text_after_yes(answer: str) -> str | None:
    """Return what follows the yes that an answer begins with; None if it is none, or nothing does.

    Citations of the yes are left out.
    """
    found = _AFTER_YES.match(answer)
    return answer[found.end() :] if found else None


def may_become_yes(beginning: str) -> bool:
    """Return whether an answer that begins like this is, or may become, a yes that text follows."""
    found = _MAYBE_YES.fullmatch(beginning)
    if found is None:
        return False
    word, marks = found.groups()
    if not marks:
        return any(yes.startswith(word.lower()) for yes in YES)
    return word.lower() in YES and not marks.isspace()


def may_be_decided(question: str, passages: Sequence[Passage]) -> bool:
    """Return whether a sentence may decide a question for a yes or no.

    What the question is about may be said before that sentence, so it does not suffice to quote it.
    """
    return any(_matching_sentences(question, passages))


@dataclass(frozen=True, slots=True)
class _Match:
    """A sentence of passage `number` that may decide; `part` of it has what is asked.

    `shared`: how many words of the question it has; `own`: how many others. `missing`: words of the
    question that neither it nor a title above says.
    """

    number: int
    sentence: str
    part: str
    shared: int
    own: int
    missing: frozenset[str]

    def distance(self) -> tuple[int, int]:
        return -self.shared, self.own


def _matching_sentences(question: str, passages: Sequence[Passage]) -> Iterator[_Match]:
    """Yield the sentences that may decide a question for a yes or no.

    Its names must be in the passage and its figures in the sentence, or both in a title above.
    """
    asked = read_question(question)
    if asked is None or len(asked.words) < 2:
        return
    for number, passage in enumerate(passages, start=1):
        title = _titles(passage)
        above = compare(asked, title).shared
        names = asked.statement.names - asked.ignored
        if not names <= above | read_statement(passage.text).terms:
            continue
        for sentence in _sentences(passage):
            match = _match(asked, number, sentence, above)
            if match is not None and asked.labels <= labels_of(f"{title} {sentence}"):
                yield match


def _match(asked: Question, number: int, sentence: str, above: frozenset[str]) -> _Match | None:
    """Return how a sentence decides a question; None if it does not.

    It has all words of the question; or none of its own stands in the place of those that are in
    titles `above` it, or that it says no to without naming them.
    """
    below = asked.words - above if len(asked.words - above) > 1 else asked.words
    compared = compare(asked, sentence)
    shared, unsaid = compared.shared, compared.missing - above
    said = asked.words - compared.missing
    is_near = any(len(said & words) >= MIN_WORDS * len(words) for words in (asked.words, below))
    if not is_near or not asked.statement.figures <= shared | above:
        return None
    # A reason is said beside what is asked, and stands in the place of nothing.
    part = _main_part(asked, sentence, _REASON)
    if unsaid and (compare(asked, part).own or not is_negated(part)):
        return None
    part = _main_part(asked, sentence)
    own = compare(asked, part).own
    if _are_alike(compared.missing, own) or _UNASSERTED.match(part):
        return None
    return _Match(number, sentence, part, len(shared), len(own), unsaid)


def _are_alike(missing: frozenset[str], own: frozenset[str]) -> bool:
    """Return whether both have a word, or a figure: one may stand in the place of the other."""
    return not {t[0].isdigit() for t in missing}.isdisjoint(t[0].isdigit() for t in own)


def _main_part(asked: Question, sentence: str, between: re.Pattern[str] = _PARTS) -> str:
    """Return the part of a sentence that has what it says of a question's words, or all of it."""
    shared = compare(asked, sentence).shared
    parts = filter(None, map(str.strip, between.split(sentence)))
    return next((part for part in parts if shared <= compare(asked, part).shared), sentence)


def _titles(passage: Passage) -> str:
    """Return the headings above a passage, and the words of its file's name."""
    name = PurePath(passage.path).stem
    return " ".join((*passage.heading, re.sub(r"[-_]+", " ", name)))


def _sentences(passage: Passage) -> Iterator[str]:
    for sentence in split_sentences(join_lines(remove_injections(passage.text))):
        plain = _MARKS.sub("", sentence).strip()
        # A title or a question decides nothing; items of a list may have no full stop.
        is_sentence = plain.endswith(tuple(".!。！")) or len(plain.split()) > MAX_TITLE_WORDS
        if is_sentence and len(plain) <= MAX_LENGTH and not _OTHER.search(plain):
            yield plain
