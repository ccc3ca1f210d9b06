"""What answering needs of the catalogue: a place for questions and answers."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from allma_server.answering.models import Choices
from allma_server.types import Citation, Grounding, Message, Summary


class Turn(Protocol):
    """A question, what was said before it, and the question it takes the place of, if any."""

    @property
    def conversation_id(self) -> str: ...
    @property
    def message_id(self) -> str: ...
    @property
    def earlier(self) -> Sequence[Message]: ...
    @property
    def replaces(self) -> str | None: ...


TurnT = TypeVar("TurnT", bound=Turn)


class History(Protocol[TurnT]):
    """The side of the catalogue that keeps conversations."""

    async def begin_turn(self, conversation_id: str | None, question: str) -> TurnT: ...
    async def plan_turn(self, replaces: str, question: str) -> TurnT: ...
    async def replace_turn(self, turn: TurnT) -> None: ...
    async def finish_turn(
        self,
        conversation_id: str,
        text: str,
        model: str | None,
        citations: Sequence[Citation],
        grounding: Grounding,
    ) -> str: ...
    async def summary(self, conversation_id: str) -> Summary | None: ...
    async def keep_summary(self, conversation_id: str, summary: Summary) -> None: ...


class Conversations(History[TurnT], Choices, Protocol):
    """History, and which model was chosen."""
