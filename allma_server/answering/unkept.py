"""Conversations where nothing can be written: an answer that is not kept is given all the same."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from allma_server.answering.turns import Conversations, TurnT
from allma_server.errors import UNWRITABLE, AllmaError
from allma_server.types import Citation, Grounding, Summary

ResultT = TypeVar("ResultT")


class UnstoredConversations(Conversations[TurnT], Protocol[TurnT]):
    """Conversations that can also be gone on with unstored."""

    async def unstored_turn(self, conversation_id: str | None, question: str) -> TurnT: ...


class KeptIfWritable(Generic[TurnT]):
    """Passes conversations on to where they are kept; `why` tells what forbade it."""

    def __init__(self, kept: UnstoredConversations[TurnT]) -> None:
        self._kept = kept
        self.why: AllmaError | None = None

    async def begin_turn(self, conversation_id: str | None, question: str) -> TurnT:
        try:
            return await self._kept.begin_turn(conversation_id, question)
        except UNWRITABLE as exc:
            self.why = exc
            return await self._kept.unstored_turn(conversation_id, question)

    async def plan_turn(self, replaces: str, question: str) -> TurnT:
        return await self._kept.plan_turn(replaces, question)

    async def replace_turn(self, turn: TurnT) -> None:
        await self._if_writable(lambda: self._kept.replace_turn(turn), None)

    async def finish_turn(
        self,
        conversation_id: str,
        text: str,
        model: str | None,
        citations: Sequence[Citation],
        grounding: Grounding,
    ) -> str:
        return await self._if_writable(
            lambda: self._kept.finish_turn(conversation_id, text, model, citations, grounding), ""
        )

    async def summary(self, conversation_id: str) -> Summary | None:
        return await self._kept.summary(conversation_id)

    async def keep_summary(self, conversation_id: str, summary: Summary) -> None:
        await self._if_writable(lambda: self._kept.keep_summary(conversation_id, summary), None)

    async def get_setting(self, key: str) -> str | None:
        return await self._kept.get_setting(key)

    async def set_setting(self, key: str, value: str) -> None:
        await self._kept.set_setting(key, value)

    async def _if_writable(
        self, store: Callable[[], Awaitable[ResultT]], otherwise: ResultT
    ) -> ResultT:
        # Once a part of a turn is lost, the rest of it has nothing to stand on.
        if self.why is not None:
            return otherwise
        try:
            return await store()
        except UNWRITABLE as exc:
            self.why = exc
            return otherwise

    def noted(self, notice: str | None) -> str | None:
        """An answer's notice, and that the answer is not kept where that is so."""
        if self.why is None:
            return notice
        told = notice is not None and self.why.message in notice
        reason = "" if told else self.why.message
        return " ".join(filter(None, (notice, "This answer is not kept.", reason)))
