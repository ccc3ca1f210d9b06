"""Recognise refusals, in which a model says that the documents do not contain the answer.

The sentence that the prompt asks for is recognised by its first words. Any other refusal is only
recognised when it is complete, because its words alone do not tell it from an answer: "the source
code is not included" may be what a passage says. It is short, no passage supports it, and it denies
that the sources, or the model, say or know something. Which words it uses for this hardly matters.
"""

import re

from allma_server._internal.tokens import lexemes
from allma_server.answering.evidence import Evidence
from allma_server.answering.sentences import split_sentences
from allma_server.answering.statements import is_negated, read_statement

REFUSAL = "The documents do not say this."
"""The sentence that the prompt asks for, and that replaces it in other spellings."""

OPENING, OPENING_OF_LIMITED = "The documents", "The documents found so far"
"""What begins the refusal, and what is shown for it if there may be more to find."""

MAX_LENGTH = 400
"""Characters of a refusal; who writes more than this has something to say."""

_MARKS = r"[*_#\s\[\]\d\"“”'‘’>-]"
_OPENING = re.compile(rf"{_MARKS}*the{_MARKS}+documents\b", re.I)
_EXACT = re.compile(rf"{_MARKS}*the documents(?: found so far)? do not say this\b", re.I)
_EXACT_SENTENCE = re.compile(rf"{_EXACT.pattern}{_MARKS}*?[.!\n]", re.I)
# Beginnings of words for what a refusal is about: sources, information, saying, knowing.
_SUBJECT = re.compile(
    r"\b(?:sources?|documents?|passages?|texts?|contexts?|excerpts?|information|informa[ctç]|"
    r"infos?\b|data\b|details?\b|mention|specif|provid|stated?\b|answer|determin|know|sure\b|unable|"
    r"clear|quell|dokument|auskunft|angab|hinweis|antwort|wei(?:ß|ss)\b|beantwort|passag|textes?\b|"
    r"réponse|répondre|sais\b|précis|fuente|respuesta|responder|sé\b|pasaje|fonti?\b|risposta|"
    r"rispond|so\b|fontes?\b|resposta|sei\b|bron(?:nen)?\b|antwoord|weet\b|informac|źród|odpowied|"
    r"wiem\b|источник|документ|информац|ответ|знаю|källor|dokumen|svar|vet\b|ved\b|kaynak|bilgi|"
    r"belge|cevap)|[资料文档信息来源知道回答資訊情報文書]|정보|문서|출처|المصادر|المعلومات|أعرف",
    re.I,
)
_NO = re.compile(r"\W*(?:no|nein|non|não|nee|nej|nei|nie|нет)\s*[,.;:–-]", re.I)
_DENIAL = " do not say"
_ALONE = re.compile(
    r"\W*(?:unknown|unclear|not (?:stated|specified|mentioned|provided|found|available|given|known)"
    r"|none (?:stated|given)|n/?a)\W*",
    re.I,
)


def may_become_refusal(beginning: str) -> bool:
    """Return whether an answer that begins like this may turn out to begin with OPENING.

    This is the only text that is withheld, so an answer is shown from its third word on.
    """
    start = re.sub(f"{_MARKS}+", " ", beginning).strip().lower()
    return OPENING.lower().startswith(start)


def text_after_opening(answer: str) -> str | None:
    """Return what follows OPENING; None if an answer does not begin with it."""
    found = _OPENING.match(answer)
    return answer[found.end() :] if found else None


def may_deny_saying(rest: str) -> bool:
    """Return whether the text after OPENING may turn out to be that of REFUSAL."""
    start = re.sub(f"{_MARKS}+", " ", rest).lower()
    return _DENIAL.startswith(start) or start.startswith(_DENIAL)


def denies_saying(rest: str) -> bool:
    """Return whether the text after OPENING is that of REFUSAL, by its first three words."""
    return re.sub(f"{_MARKS}+", " ", rest).lower().startswith(_DENIAL)


def find_refusal_end(answer: str) -> int | None:
    """Return where the first sentence of an answer ends, if it is REFUSAL."""
    found = _EXACT_SENTENCE.match(answer)
    return found.end() if found else None


def is_exact_refusal(answer: str) -> bool:
    """Return whether an answer begins with REFUSAL."""
    return _EXACT.match(answer) is not None


def is_refusal(answer: str, evidence: Evidence) -> bool:
    """Return whether a complete answer says that it cannot be given from the passages.

    It asserts nothing: a figure or name that is not the question's makes it an answer, as does a
    passage that supports it.
    """
    answer = answer.strip()
    if not answer or len(answer) > MAX_LENGTH:
        return False
    if _ALONE.fullmatch(answer) or is_exact_refusal(answer):
        return True
    sentences = split_sentences(answer)
    if not sentences:
        return False
    first = sentences[0]
    if not is_negated(first) and not re.search(r"\b(?:insufficient|unable|unknown|unclear)", first):
        return False
    statement = read_statement(first)
    asserted = (statement.figures | statement.names) - evidence.question.terms
    # German writes all nouns with a capital.
    if any(_SUBJECT.match(term) is None for term in asserted):
        return False
    return _is_about_sources(first, evidence) and evidence.find_source(first) is None


def _is_about_sources(sentence: str, evidence: Evidence) -> bool:
    """Return whether a sentence has a word for what refusals are about.

    A no to a question about data or information has it from there.
    """
    asked = evidence.question.terms if _NO.match(sentence) else frozenset[str]()
    found = (re.match(r"\w+", sentence[each.start() :]) for each in _SUBJECT.finditer(sentence))
    return any(word and not asked.intersection(lexemes(word[0])) for word in found)
