"""Which passages support a statement, by their words: fast, and independent of the model."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from allma_server._internal.tokens import lexemes
from allma_server.answering.attachment import ATTACHED_DOCUMENT
from allma_server.answering.sentences import is_prose, join_lines, split_sentences
from allma_server.answering.statements import Statement, read_statement
from allma_server.answering.word_comparison import Question, compare, read_question, terms_of
from allma_server.types import Passage

MIN_SUPPORT = 0.6
"""Share of a statement's terms that a passage must contain to be cited as its source."""

MIN_TOGETHER = 0.8
"""The same for passages that only support it together."""

MAX_TOGETHER = 3
MIN_ADDED = 2
"""Terms that each of them has and those before it do not."""

MIN_CITED_SUPPORT = 0.3
"""The same where the model cites the passage itself, for a paraphrase shares fewer words."""

MIN_RELATIVE_SUPPORT = 0.5
"""A cited passage with less than this share of the best support is replaced by the best one."""

MIN_SENTENCE_SUPPORT = 0.6
"""Share of a statement's words in a sentence that says the same, or the opposite of it."""

WHOLE_SENTENCE = 8
"""Words with which a sentence says itself what it is about."""

MOST_OTHERS = 2 / 3
"""Share of the other documents' passages that name what the question is about."""

MIN_PART = 5
"""Letters of a word that is looked for in compounds, such as "Vertrag" in "Mietvertrag"."""

SPELLED_OUT = 12
"""Figures up to this one may be words in the passage, in any language."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the question and each passage that its answer is based on state."""

    question: Statement
    asked: Question | None
    texts: tuple[str, ...]
    passages: tuple[Statement, ...]
    sentences: tuple[tuple[Statement, ...], ...]
    prose: tuple[tuple[bool, ...], ...]
    documents: tuple[int, ...]
    paths: tuple[frozenset[str], ...]

    @classmethod
    def from_passages(cls, question: str, passages: Sequence[Passage]) -> "Evidence":
        texts = [" ".join((*p.heading, p.text)) for p in passages]
        sentences = [split_sentences(join_lines(text)) for text in texts]
        return cls(
            read_statement(question),
            read_question(question),
            tuple(texts),
            tuple(map(read_statement, texts)),
            tuple(tuple(map(read_statement, each)) for each in sentences),
            tuple(tuple(map(is_prose, each)) for each in sentences),
            tuple(passage.document_id for passage in passages),
            tuple(frozenset(lexemes(passage.path)) for passage in passages),
        )

    def support(self, statement: str) -> list[float]:
        """Return the share of the statement's terms that each passage contains, from 0 to 1.

        Terms of the question do not count if there are others, because all passages found for a
        question contain them. A statement without terms, such as "Yes", says what was asked.
        """
        terms = read_statement(statement).terms or self.question.terms
        distinctive = terms - self.question.terms or terms
        return [
            len(distinctive & passage.terms) / len(distinctive) if distinctive else 0.0
            for passage in self.passages
        ]

    def find_source(self, text: str) -> int | None:
        """Return the number of the passage that supports a statement best; None if none does.

        None if the statement has no terms, for it may be about anything.
        """
        return self._find_best(text) if read_statement(text).terms else None

    def find_sources(self, text: str, *, is_summary: bool = False) -> list[int]:
        """Return the numbers of the passages to cite for a statement; empty if none support it.

        It is the one that supports it best, or else several that only do so together, as for a
        sentence that sums up a file: all of one document, unless it is of a summary of several.
        """
        source = self.find_source(text)
        if source is not None:
            return [source]
        numbers = range(1, len(self.passages) + 1)
        if is_summary:
            return self._find_several(text, numbers)
        of = self.documents
        for document in dict.fromkeys(of):
            if found := self._find_several(text, [n for n in numbers if of[n - 1] == document]):
                return found
        return []

    def _find_several(self, text: str, numbers: Sequence[int]) -> list[int]:
        """Return which of these passages only support a statement together; empty if none do."""
        terms = read_statement(text).terms - self.question.terms
        found, missing = list[int](), terms
        while len(found) < MAX_TOGETHER:
            said = {number: len(missing & self.passages[number - 1].terms) for number in numbers}
            best = max(said, key=said.__getitem__)
            if said[best] < MIN_ADDED:
                break
            found.append(best)
            missing -= self.passages[best - 1].terms
        if len(found) < 2 or len(missing) > (1 - MIN_TOGETHER) * len(terms):
            return []
        return sorted(found) if self.holds(found, text) else []

    def _find_best(self, text: str) -> int | None:
        support = self.support(text)
        best = max(support, default=0.0)
        if best < MIN_SUPPORT or not self.holds([support.index(best) + 1], text):
            return None
        return support.index(best) + 1

    def correct_citations(self, numbers: Sequence[int], text: str) -> list[int]:
        """Return the numbers to cite for a statement; empty if no passage supports it.

        They are `numbers` where those passages support the statement together, without the ones
        that add nothing. A single number is replaced if another passage supports the statement much
        better.
        """
        if not numbers:
            return []
        support = self.support(text)
        best = max(support)
        cited = max(support[number - 1] for number in numbers)
        other = self._find_best(text)
        if cited < MIN_RELATIVE_SUPPORT * best and other is not None:
            return [other]
        if not self.holds(numbers, text):
            return [] if other is None else [other]
        return [n for n in numbers if support[n - 1] > 0] or list(numbers)

    def holds(self, numbers: Sequence[int], text: str) -> bool:
        """Return whether the passages of these numbers together support a statement.

        Their words must be among its words; every figure and most names of it must be there, and a
        figure in a sentence about the same; a sentence that says the same must not say the
        opposite. What only repeats a question for a yes or no needs all its words. A statement in a
        script that they are not written in cannot be checked and stands.
        """
        statement = read_statement(text)
        passages = [self.passages[number - 1] for number in numbers]
        known = frozenset(chain.from_iterable(passage.terms for passage in passages))
        if self._are_of_another_subject(numbers) or self._lack_what_is_asked(text, numbers):
            return False
        if not statement.terms:
            return self._is_about_question(known)
        if not _scripts(statement.terms) & _scripts(known) and _scripts(statement.terms):
            return True
        if self._has_foreign(statement, known, passages) or not self._is_about_question(known):
            return False
        shared = len(statement.terms & known)
        needed = 1 if len(statement.terms) < 3 else 2
        if shared < needed or shared < MIN_CITED_SUPPORT * len(statement.terms):
            return False
        parts = map(read_statement, split_sentences(text))
        return not any(
            self._has_distant_figure(part, numbers) or self._is_denied(part, numbers)
            for part in parts
        )

    def has_unknown_figure(self, text: str) -> bool:
        """Return whether a statement has a figure that neither a passage nor the question has."""
        statement = read_statement(text)
        figures = statement.figures - self.question.figures
        return any(map(_must_be_digits, figures - self._known_figures(statement, self.passages)))

    def _has_foreign(
        self, statement: Statement, known: frozenset[str], passages: Sequence[Statement]
    ) -> bool:
        """Return whether it has a figure, or mostly names, that are not known."""
        figures = statement.figures - self.question.figures
        if any(map(_must_be_digits, figures - self._known_figures(statement, passages))):
            return True
        names = statement.names - self.question.words
        return len(names - known) > len(names) / 2

    def _has_distant_figure(self, statement: Statement, numbers: Sequence[int]) -> bool:
        """Return whether a figure of a statement is only said of something else.

        That shows in whole sentences; the subject of a short one, or of a line of a table or list,
        is said before it.
        """
        said = [
            each
            for n in numbers
            for each in zip(self.sentences[n - 1], self.prose[n - 1], strict=True)
        ]
        for figure in filter(_must_be_digits, statement.figures - self.question.figures):
            with_it = [(sentence, prose) for sentence, prose in said if figure in sentence.figures]
            if with_it and all(p and self._is_about_another(s, statement) for s, p in with_it):
                return True
        return False

    def _is_about_another(self, sentence: Statement, statement: Statement) -> bool:
        """Return whether a whole sentence has at most one word of a statement or its question."""
        words = statement.words | self.question.words
        is_whole = len(sentence.words) >= WHOLE_SENTENCE
        return is_whole and len(words & sentence.words) < 2 < len(words)

    def _known_figures(self, statement: Statement, passages: Sequence[Statement]) -> frozenset[str]:
        """Return the figures of the passages that a statement may use.

        One end of a score or range is no figure of its own: of `45-17` nobody may say "45 people".
        """
        said = statement.terms | self.question.figures
        known: set[str] = set()
        for passage in passages:
            paired = dict(passage.paired)
            known.update(f for f in passage.figures if f not in paired or paired[f] & said)
        return frozenset(known)

    def _are_of_another_subject(self, numbers: Sequence[int]) -> bool:
        """Return whether a name of the question is missing in the documents of these passages.

        Only a name counts that most passages of other documents have: then those are about it. A
        name may be in the path, and in another passage of the same document. A text that the user
        gave with the question is about it.
        """
        cited = {self.documents[number - 1] for number in numbers}
        if ATTACHED_DOCUMENT in cited:
            return False
        inside = [n for n, document in enumerate(self.documents) if document in cited]
        others = [p for p, d in zip(self.passages, self.documents, strict=True) if d not in cited]
        said = frozenset(
            chain.from_iterable(self.passages[n].terms | self.paths[n] for n in inside)
        )
        return any(
            sum(name in passage.terms for passage in others) >= max(2, MOST_OTHERS * len(others))
            for name in self.question.names - said
        )

    def _lack_what_is_asked(self, text: str, numbers: Sequence[int]) -> bool:
        """Return whether a statement says yes or no to words of the question that are not there.

        Its other words would tell whether it is supported; here it has none.
        """
        if self.asked is None:
            return False
        said = terms_of(text) - self.asked.ignored
        if not said <= self.asked.words:
            return False
        claimed = said or self.asked.words
        return all(
            claimed & compare(self.asked, self.texts[number - 1]).missing for number in numbers
        )

    def _is_about_question(self, known: frozenset[str]) -> bool:
        """Return whether a passage has any word of the question, if that has names in it.

        Alone or in a compound: in German all nouns look like names.
        """
        words = self.question.words
        if not self.question.names or len(words) < 2 or not _scripts(words) & _scripts(known):
            return True
        if self.question.terms & known:
            return True
        long = [word for word in words if len(word) >= MIN_PART]
        return any(word in each for word in long for each in known)

    def _is_denied(self, statement: Statement, numbers: Sequence[int]) -> bool:
        """Return whether the sentences that match a statement all say its opposite."""
        alike = [
            # A negation that is about other words of a sentence denies nothing.
            sentence.negated and (statement.negated or bool(sentence.denied & statement.words))
            for number in numbers
            for sentence in self.sentences[number - 1]
            if len(statement.words & sentence.words) >= MIN_SENTENCE_SUPPORT * len(statement.words)
        ]
        return bool(statement.words and alike) and statement.negated not in alike


def content_words(text: str) -> frozenset[str]:
    """Return the stems of a text without stop words and negations."""
    return read_statement(text).terms


def _must_be_digits(figure: str) -> bool:
    return not figure.isdigit() or int(figure) > SPELLED_OUT


def _scripts(terms: Iterable[str]) -> set[str]:
    """Return the scripts of the terms, by the Unicode names of their first letters."""
    return {unicodedata.name(t[0], "").partition(" ")[0] for t in terms if t[0].isalpha()}
