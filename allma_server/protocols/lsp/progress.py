"""Progress of a call in an editor: chunks of text, and a progress bar."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Protocol
from uuid import uuid4

from lsprotocol import types

from allma_server.operations import jsonable
from allma_server.protocols.lsp.stream import (
    AnswerChunk,
    AnswerEvent,
    AnswerSources,
    AnswerStarted,
    AnswerStatus,
    AnswerThinking,
)
from allma_server.types import Citation

Token = str | int

_BATCH_SECONDS = 0.04
"""Seconds to collect tokens before sending them: a message costs more than a token."""

_STEP_SECONDS = 0.1
"""Least seconds between two steps of a progress bar."""

_CREATE_SECONDS = 5.0
"""Seconds for the client to create a progress bar."""


class Listener(Protocol):
    """What progress needs of an editor. `register` lets a token cancel a task."""

    @property
    def chunks_by_notification(self) -> bool: ...
    @property
    def shows_progress(self) -> bool: ...
    def notify(self, method: str, params: Any) -> None: ...
    async def request(self, method: str, params: Any, seconds: float) -> Any: ...
    def register(self, token: Token, task: "asyncio.Task[Any]") -> None: ...
    async def drain(self) -> None: ...


class EditorProgress:
    """Progress of one task; its tokens cancel that task.

    `chunks`: the client's token for streamed text; `bar`: its token for a progress bar. Without
    `bar`, the server creates one when a total is known, if `may_create` and the client allow it.
    """

    def __init__(
        self,
        listener: Listener,
        title: str,
        task: "asyncio.Task[Any]",
        *,
        chunks: Token | None = None,
        bar: Token | None = None,
        may_create: bool = False,
    ) -> None:
        self._listener = listener
        self._title = title
        self._task = task
        self._chunks = chunks
        self._bar = bar
        self._may_create = may_create and bar is None and listener.shows_progress
        self._unsent: list[str] = []
        self._thought = False  # whether what is unsent is thinking
        self._timer: asyncio.TimerHandle | None = None
        self._seq = 0
        self._citations: Sequence[Citation] | None = None
        self.conversation_id: str | None = None
        self._last = 0.0
        self._ended = False
        for token in (chunks, bar):
            if token is not None:
                listener.register(token, task)
        if bar is not None:
            self._begin()

    async def report(self, done: int, total: int | None, message: str) -> None:
        self._send(AnswerStatus(message))
        if self._may_create and total:
            self._may_create = False
            await self._create()
        if self._bar is None or time.monotonic() - self._last < _STEP_SECONDS:
            return
        self._last = time.monotonic()
        percentage = min(100, done * 100 // total) if total else None
        self._step(types.WorkDoneProgressReport(message=message or None, percentage=percentage))
        await self._listener.drain()

    async def started(self, conversation_id: str, message_id: str) -> None:
        self.conversation_id = conversation_id
        self._send(AnswerStarted(conversation_id, message_id))
        await self._listener.drain()

    async def thinking(self, delta: str) -> None:
        await self._collect(delta, thought=True)

    async def text(self, delta: str) -> None:
        await self._collect(delta, thought=False)

    async def _collect(self, delta: str, *, thought: bool) -> None:
        if self._chunks is None:
            return
        if thought is not self._thought:
            self._flush()
            self._thought = thought
        self._unsent.append(delta)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_BATCH_SECONDS, self._flush)
        await self._listener.drain()

    async def sources(self, citations: Sequence[Citation]) -> None:
        self._citations = citations  # sent last: the text refers to them

    def end(self, message: str | None = None) -> None:
        """Send the remaining text and close the bar; call it however the call ends.

        Later reports are ignored.
        """
        self._flush()
        if self._citations is not None:
            self._send(AnswerSources(list(self._citations)))
        if self._bar is not None:
            self._step(types.WorkDoneProgressEnd(message=message))
        self._bar = self._chunks = self._citations = None
        self._may_create = False
        self._ended = True

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._unsent:
            return
        text, self._unsent = "".join(self._unsent), []
        if self._thought:
            self._send(AnswerThinking(text))
        else:
            self._send(AnswerChunk(self._seq, text))
            self._seq += 1

    def _send(self, event: AnswerEvent) -> None:
        if self._chunks is None:
            return
        value = jsonable(event, camel=True)
        if self._listener.chunks_by_notification:
            self._listener.notify("allma/chunk", {"token": self._chunks, **value})
        else:
            self._listener.notify(types.PROGRESS, types.ProgressParams(self._chunks, value))

    async def _create(self) -> None:
        token = str(uuid4())
        params = types.WorkDoneProgressCreateParams(token)
        created = await self._listener.request(
            types.WINDOW_WORK_DONE_PROGRESS_CREATE, params, _CREATE_SECONDS
        )
        if created is not False and not self._ended:
            self._bar = token
            self._listener.register(token, self._task)
            self._begin()

    def _begin(self) -> None:
        self._step(types.WorkDoneProgressBegin(title=self._title, cancellable=True, percentage=0))

    def _step(self, value: Any) -> None:
        assert self._bar is not None
        self._listener.notify(types.PROGRESS, types.ProgressParams(self._bar, value))
