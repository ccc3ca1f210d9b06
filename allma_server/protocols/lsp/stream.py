"""What an editor hears while an answer is written, besides its progress bar."""

from dataclasses import dataclass, field
from typing import Literal

from allma_server.types import Citation


@dataclass(frozen=True, slots=True)
class AnswerStarted:
    """Comes first: the question is stored, as this message of this conversation."""

    kind: Literal["started"] = field(default="started", init=False)
    conversation_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class AnswerChunk:
    """The next words of an answer. `seq` counts the chunks from 0."""

    kind: Literal["chunk"] = field(default="chunk", init=False)
    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class AnswerSources:
    """Comes last: the numbered passages the answer was made from."""

    kind: Literal["sources"] = field(default="sources", init=False)
    citations: list[Citation]


KINDS = (AnswerStarted, AnswerChunk, AnswerSources)
