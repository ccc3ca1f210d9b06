"""The messages of a streamed answer, besides its progress bar."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

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
class AnswerStatus:
    """What is done before the answer begins, such as reading passages."""

    kind: Literal["status"] = field(default="status", init=False)
    message: str


@dataclass(frozen=True, slots=True)
class AnswerThinking:
    """The next part of the model's thinking, which is not part of the answer."""

    kind: Literal["thinking"] = field(default="thinking", init=False)
    text: str


@dataclass(frozen=True, slots=True)
class AnswerSources:
    """Last: the numbered passages that the answer is based on."""

    kind: Literal["sources"] = field(default="sources", init=False)
    citations: list[Citation]


AnswerEvent: TypeAlias = AnswerStarted | AnswerStatus | AnswerThinking | AnswerChunk | AnswerSources
KINDS = (AnswerStarted, AnswerStatus, AnswerThinking, AnswerChunk, AnswerSources)
