"""The messages of a streamed answer, besides its progress bar."""

from dataclasses import dataclass, field
from typing import Literal

from allma_server.types import Citation


@dataclass(frozen=True, slots=True)
class AnswerStarted:
    """First: the question is stored, as this message of this conversation."""

    kind: Literal["started"] = field(default="started", init=False)
    conversation_id: str
    message_id: str


@dataclass(frozen=True, slots=True)
class AnswerChunk:
    """The next part of the answer's text. `seq` counts the chunks from 0."""

    kind: Literal["chunk"] = field(default="chunk", init=False)
    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class AnswerSources:
    """Last: the numbered passages that the answer is based on."""

    kind: Literal["sources"] = field(default="sources", init=False)
    citations: list[Citation]


KINDS = (AnswerStarted, AnswerChunk, AnswerSources)
