"""What kind of question, and what kind of text: the weights of a search depend on both."""

import re
from collections.abc import Sequence

from allma_server.model import Passage

CODE = 0.03
"""A text is code when more of its characters than this are signs of code."""

_SIGNS = re.compile(r"[(){}\[\]=;_<>]")
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
    return len(_SIGNS.findall(passage.text)) > CODE * len(passage.text)
