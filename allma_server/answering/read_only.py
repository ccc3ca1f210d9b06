"""Answer questions even when nothing can be stored: a full disk, a read-only data directory."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from allma_server.errors import UNWRITABLE, AllmaError
from allma_server.ports import ConversationStore
from allma_server.types import AnswerRecord, Summary, Turn

ResultT = TypeVar("ResultT")


class ReadOnlyFallback:
    """Wrap a conversation store, and continue without storing once a write has failed.

    Implements `ports.ConversationStore`. `error` says why nothing was stored, None if all was.
    """

    def __init__(self, store: ConversationStore) -> None:
        self._store = store
        self.error: AllmaError | None = None

    async def begin_turn(self, conversation_id: str | None, question: str) -> Turn:
        try:
            return await self._store.begin_turn(conversation_id, question)
        except UNWRITABLE as exc:
            self.error = exc
            turn = await self._store.unstored_turn(conversation_id, question)
            # A conversation that is not stored cannot be continued.
            known = conversation_id or ""
            return replace(turn, conversation_id=known, message_id="")

    async def unstored_turn(self, conversation_id: str | None, question: str) -> Turn:
        return await self._store.unstored_turn(conversation_id, question)

    async def plan_turn(self, replaces: str, question: str) -> Turn:
        return await self._store.plan_turn(replaces, question)

    async def replace_turn(self, turn: Turn) -> None:
        await self._write(lambda: self._store.replace_turn(turn), None)

    async def finish_turn(self, conversation_id: str, answer: AnswerRecord) -> str:
        return await self._write(lambda: self._store.finish_turn(conversation_id, answer), "")

    async def summary(self, conversation_id: str) -> Summary | None:
        return await self._store.summary(conversation_id)

    async def save_summary(self, conversation_id: str, summary: Summary) -> None:
        await self._write(lambda: self._store.save_summary(conversation_id, summary), None)

    async def _write(self, write: Callable[[], Awaitable[ResultT]], default: ResultT) -> ResultT:
        # Once one part of a turn is missing, the other parts must not be stored either.
        if self.error is not None:
            return default
        try:
            return await write()
        except UNWRITABLE as exc:
            self.error = exc
            return default

    def extend_notice(self, notice: str | None) -> str | None:
        """Return an answer's notice, extended if the answer was not stored."""
        if self.error is None:
            return notice
        known = notice is not None and self.error.message in notice
        reason = "" if known else self.error.message
        return " ".join(filter(None, (notice, "This answer was not saved.", reason)))
