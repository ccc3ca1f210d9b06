"""Answers with their sources, and conversations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from allma_server.types.chat import Role
from allma_server.types.search import NoticeCode, Passage

Grounding = Literal["cited", "partial", "disputed", "uncited", "declined", "none", "cut_off"]

_CAUTIONS = {
    "uncited": "This answer cites no source. Check it before relying on it.",
    "partial": "This answer contains a figure that no source has. Check it before relying on it.",
    "disputed": "The sources disagree about this. Compare them before relying on this answer.",
    "cut_off": "This answer is incomplete: it was cut off.",
}


@dataclass(frozen=True, slots=True)
class Citation:
    """A numbered source that the model was given; `cited` if the answer contains `[number]`."""

    number: int
    passage: Passage
    cited: bool = False


@dataclass(frozen=True, slots=True)
class GateStats:
    """What the model said when asked whether the passages contain the answer.

    `probability`: that they do, from 0 to 1. Up to `threshold` the answer is `refused`.
    """

    probability: float
    threshold: float
    refused: bool


@dataclass(frozen=True, slots=True)
class AnswerStats:
    """Statistics of an answer. Times in milliseconds; None if nothing was generated.

    `cached`: an earlier answer to the same question was given again.
    `gate`: None if the model was not asked first whether the passages contain the answer.
    """

    retrieval_ms: int
    first_token_ms: int | None
    total_ms: int
    prompt_tokens: int | None
    answer_tokens: int | None
    truncated: bool
    cached: bool = False
    gate: GateStats | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its sources.

    `mode`: `passages_only` if no model could answer; `text` says why.
    `grounding`: `cited` (it cites sources), `partial` (it does, but has a figure that no source
    has), `disputed` (it does, but the sources contradict each other), `uncited` (it cites none),
    `declined` (the documents do not contain the answer), `none` (no documents were searched),
    `cut_off` (it is incomplete).
    `notice`: a sentence if the search or the answer was limited, such as keyword search only.
    `notice_code`: why the search was limited, also if the sentence is part of `text`.
    `conversation_id` and `message_id` are empty if nothing could be stored.
    """

    text: str
    citations: list[Citation]
    conversation_id: str
    message_id: str
    model: str | None
    mode: Literal["generated", "passages_only"]
    stats: AnswerStats
    notice: str | None = None
    grounding: Grounding = "none"
    notice_code: NoticeCode | None = None

    @property
    def caution(self) -> str | None:
        """The warning to show with the answer."""
        return _CAUTIONS.get(self.grounding)


@dataclass(frozen=True, slots=True)
class MessageSource:
    """A copy of a source as it was when it was cited; later changes of the file do not alter it.

    `unsaved`: it was the text of an open editor, which the file may never have had.
    """

    number: int
    document_id: int
    chunk_id: int
    relevance_score: float
    path: str
    start_line: int
    end_line: int
    page: int | None
    heading: list[str]
    text: str
    unsaved: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A question or an answer in a conversation.

    `grounding` is that of `Answer`; null for questions and for answers stored without it.
    """

    id: str
    role: Role
    content: str
    model: str | None
    created_at: str
    sources: list[MessageSource] = field(default_factory=list[MessageSource])
    grounding: Grounding | None = None

    @property
    def caution(self) -> str | None:
        """The warning to show with an answer."""
        return _CAUTIONS.get(self.grounding) if self.grounding else None


@dataclass(frozen=True, slots=True)
class Turn:
    """A question with the messages before it.

    `replaces`: the id of the question that this one replaces, with all later messages. Such a
    question is only stored by `ConversationStore.replace_turn`.
    """

    conversation_id: str
    message_id: str
    question: str
    earlier: list[Message]
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """An answer as it is stored, with the sources that the model was given."""

    text: str
    model: str | None
    citations: Sequence[Citation] = ()
    grounding: Grounding = "none"


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary of a conversation, up to and including the message `until`."""

    until: str
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation, shared by all clients. `messages` is empty in lists of conversations."""

    id: str
    title: str
    created_at: str
    updated_at: str
    message_count: int
    messages: list[Message] = field(default_factory=list[Message])


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """A page of conversations, latest first; pass `next_cursor` to get older ones."""

    conversations: list[Conversation]
    total: int
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """A conversation as one Markdown document."""

    title: str
    markdown: str
