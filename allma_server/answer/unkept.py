"""Conversations on a disk that may be full: an answer that cannot be kept is given all the same."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from allma_server.answer.turns import Conversations, TurnT
from allma_server.errors import DiskFull
from allma_server.model import Citation, Grounding, Summary

NOTICE = "This answer is not kept: no space is left on the disk of the data directory."

ResultT = TypeVar("ResultT")


class FullDiskConversations(Conversations[TurnT], Protocol[TurnT]):
    """Conversations that can also be gone on with unstored."""

    async def unstored_turn(self, conversation_id: str | None, question: str) -> TurnT: ...


class UnkeptWhenFull(Generic[TurnT]):
    """Passes conversations on to where they are kept; `notice` tells when that had no room."""

    def __init__(self, kept: FullDiskConversations[TurnT]) -> None:
        self._kept = kept
        self.notice: str | None = None

    async def begin_turn(self, conversation_id: str | None, question: str) -> TurnT:
        try:
            return await self._kept.begin_turn(conversation_id, question)
        except DiskFull:
            self.notice = NOTICE
            return await self._kept.unstored_turn(conversation_id, question)

    async def plan_turn(self, replaces: str, question: str) -> TurnT:
        return await self._kept.plan_turn(replaces, question)

    async def take_place(self, turn: TurnT) -> None:
        await self._unless_full(lambda: self._kept.take_place(turn), None)

    async def finish_turn(
        self,
        conversation_id: str,
        text: str,
        model: str | None,
        citations: Sequence[Citation],
        grounding: Grounding,
    ) -> str:
        return await self._unless_full(
            lambda: self._kept.finish_turn(conversation_id, text, model, citations, grounding), ""
        )

    async def summary(self, conversation_id: str) -> Summary | None:
        return await self._kept.summary(conversation_id)

    async def keep_summary(self, conversation_id: str, summary: Summary) -> None:
        await self._unless_full(lambda: self._kept.keep_summary(conversation_id, summary), None)

    async def get_setting(self, key: str) -> str | None:
        return await self._kept.get_setting(key)

    async def set_setting(self, key: str, value: str) -> None:
        await self._kept.set_setting(key, value)

    async def _unless_full(
        self, store: Callable[[], Awaitable[ResultT]], otherwise: ResultT
    ) -> ResultT:
        # Once a part of a turn is lost, the rest of it has nothing to stand on.
        if self.notice is not None:
            return otherwise
        try:
            return await store()
        except DiskFull:
            self.notice = NOTICE
            return otherwise
