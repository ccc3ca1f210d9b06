"""Take a question of several parts apart, by its form or with the model's help."""

import re
from collections.abc import Sequence

from allma_server.answering.evidence import content_words
from allma_server.answering.prompt_injection import remove_hidden
from allma_server.types import ChatMessage

MAX_PARTS = 5
"""Each part costs a search and a reply of the model."""

PLAN_TOKENS = 160
_MIN_WORDS_FOR_PLAN = 9
"""A question with fewer words asks one thing, unless its form says otherwise."""

_PREPOSITION = (
    r"(?:in|on|at|to|for|from|with|by|of|since|until|against|von|mit|für|bis|de|à|en|con)"
)
_INTERROGATIVE = (
    rf"(?:{_PREPOSITION}\s+)?(?:who|whom|whose|what|when|where|which|why|how"
    r"|wer|wen|wem|wann|wo|welche[rsmn]?|warum|wie|qui|que|quand|où|quel(?:le)?s?|pourquoi"
    r"|comment|combien|quién|qué|cuándo|dónde|cuál(?:es)?|cuánt[oa]s?|cómo|chi|cosa|quando|dove"
    r"|quale|perché|come|кто|что|когда|где|какой|почему|как|сколько)\b"
)
_VERB = r"(?:is|are|was|were|does|do|did|can|could|has|have|will)\b"
_AND = r"(?:and|und|et|y|e|en|и)"
# A verb begins a question only after the end of another one.
_BORDERS = re.compile(
    rf"(?<=[?？])\s+|[;；]\s*|\n+|,?\s+{_AND}(?:\s+also)?\s+(?={_INTERROGATIVE})"
    rf"|,\s+(?={_INTERROGATIVE})",
    re.I,
)
_ASKS = re.compile(rf"{_INTERROGATIVE}|{_VERB}", re.I)
_ENUMERATION = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.):]|[a-e][.)])\s*")


def split_by_form(question: str) -> list[str]:
    """Return the parts that the form of a question shows; the question itself if there is one."""
    parts: list[str] = []
    for piece in filter(str.strip, _BORDERS.split(question)):
        part = _ENUMERATION.sub("", piece).strip(" ,")
        if parts and not _is_question(piece, part):
            parts[-1] += f" {part}"
        elif part:
            parts.append(part)
    return list(dict.fromkeys(parts))[:MAX_PARTS] or [question]


def _is_question(piece: str, part: str) -> bool:
    """Return whether a piece asks something: not "when" alone, nor "Answer briefly."."""
    if not content_words(part):
        return False
    return piece != part or part.endswith(("?", "？")) or _ASKS.match(part) is not None


def may_have_parts(question: str) -> bool:
    """Return whether it is worth asking the model to take a question apart."""
    return len(question.split()) >= _MIN_WORDS_FOR_PLAN


def plan_prompt(question: str) -> list[ChatMessage]:
    """Return the messages that ask for the parts of a question."""
    order = (
        f"Which separate questions does this ask? Write each as a complete question on a line of "
        f"its own, at most {MAX_PARTS}, in the same words. Write nothing else."
    )
    return [ChatMessage("user", f"Question: {remove_hidden(question)}\n\n{order}")]


def parse_parts(reply: str, question: str) -> list[str]:
    """Return the parts in a model's reply; the question itself if the reply is of no use.

    A part uses words of the question. What a small model adds is dropped: an introduction, an
    answer, other questions.
    """
    known = content_words(question)
    parts: list[str] = []
    for line in reply.splitlines():
        part = _ENUMERATION.sub("", line).strip(" *\"'")
        words = content_words(part)
        if words and len(words & known) >= len(words) * 0.6 and len(part) <= len(question) + 40:
            parts.append(part)
    parts = list(dict.fromkeys(parts))[:MAX_PARTS]
    return parts if _covers(parts, known) else [question]


def _covers(parts: Sequence[str], known: frozenset[str]) -> bool:
    """Return whether the parts leave out little of the question."""
    found = {word for part in parts for word in content_words(part)}
    return len(parts) > 1 and len(found & known) >= len(known) * 0.6
