"""What kind of question, and what kind of text: the weights of a search depend on both."""

import re
from collections.abc import Sequence

from allma_server.types import Passage

CODE = 0.01
"""A text is code when it has more signs of code than this for each of its characters.

99 % of cosqa's functions have, and at most 1.8 % of the texts of any set in prose.
"""

_SIGNS = "{}=_<>(["
_QUESTION = re.compile(
    r"^\W*(what|who|whom|whose|which|when|where|why|how(?!\s+to\b)|is|are|was|were|does|do|did|can"
    r"|could|has|have|had|should|will|would)\b|\?\s*$",
    re.IGNORECASE,
)


def is_question(text: str) -> bool:
    """Whether it asks for an answer, which stands in one place, rather than names a topic."""
    return _QUESTION.search(text) is not None


def share_of_code(passages: Sequence[Passage]) -> float:
    """How many of the passages are code, from 0 to 1."""
    return sum(map(_is_code, passages)) / len(passages) if passages else 0.0


def _is_code(passage: Passage) -> bool:
    count = passage.text.count
    # A bracket after a space is prose's as well.
    signs = sum(map(count, _SIGNS)) - count(" (") - count(" [")
    return signs > CODE * len(passage.text)
