"""Classify queries (question or topic) and passages (code or prose), for the search weights."""

from collections.abc import Sequence

from allma_server.search.question_words import asks
from allma_server.types import Passage

CODE_DENSITY = 0.01
"""Signs of code per character above which a text counts as code.

99 % of the functions in the cosqa benchmark are above it, and at most 1.8 % of any prose set.
"""

_CODE_SIGNS = "{}=_<>(["


def is_question(query: str) -> bool:
    """Return whether the query asks for one answer, rather than naming a topic."""
    return asks(query)


def code_share(passages: Sequence[Passage]) -> float:
    """Return the share of the passages that are code, from 0 to 1."""
    return sum(map(_is_code, passages)) / len(passages) if passages else 0.0


def _is_code(passage: Passage) -> bool:
    count = passage.text.count
    # A bracket after a space is as common in prose.
    signs = sum(map(count, _CODE_SIGNS)) - count(" (") - count(" [")
    return signs > CODE_DENSITY * len(passage.text)
