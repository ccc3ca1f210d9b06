"""Progress of a call as server-sent events, and the calls that can be stopped.

    started  {conversation_id, message_id}     the question is stored
    status   {done, total, message}            progress of longer work
    thinking {text}                            the next part of a model's thinking
    chunk    {seq, text}                       the next part of an answer
    sources  {citations}                       what the answer is based on
    done     {result}                          last: the result of the operation
    error    {code, message, hint}             last: why there is none

Each event's data also has its name as `kind`. Events wait here until the client takes them: text is
joined, and only the latest status is kept, so a slow reader costs no more than the answer.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence

from pydantic.alias_generators import to_camel

from allma_server.operations import jsonable
from allma_server.types import Citation

KEEP_ALIVE_SECONDS = 15.0
"""Seconds without an event after which a comment is sent, for proxies that close silent streams."""

_LAST = ("done", "error")


class Events:
    """The events of one call, as `Progress`."""

    def __init__(self, *, camel: bool) -> None:
        self._camel = camel
        self._waiting: list[dict[str, object]] = []
        self._seq = 0
        self._changed = asyncio.Event()
        self._citations: Sequence[Citation] | None = None

    async def report(self, done: int, total: int | None, message: str) -> None:
        if self._waiting and self._waiting[-1]["kind"] == "status":
            self._waiting.pop()
        self._add("status", done=done, total=total, message=message)

    async def started(self, conversation_id: str, message_id: str) -> None:
        self._add("started", conversation_id=conversation_id, message_id=message_id)

    async def thinking(self, delta: str) -> None:
        if not self._joined("thinking", delta):
            self._add("thinking", text=delta)

    async def text(self, delta: str) -> None:
        if not self._joined("chunk", delta):
            self._add("chunk", seq=self._seq, text=delta)
            self._seq += 1

    def _joined(self, kind: str, delta: str) -> bool:
        """Join text to the last event, if that is of the same kind and not yet sent."""
        last = self._waiting[-1] if self._waiting else None
        if last is None or last["kind"] != kind:
            return False
        last["text"] = f"{last['text']}{delta}"
        return True

    async def sources(self, citations: Sequence[Citation]) -> None:
        self._citations = citations  # sent last: the text refers to them

    def done(self, result: object) -> None:
        """Send the result as the last event."""
        if self._citations is not None:
            self._add("sources", citations=self._citations)
        self._add("done", result=result)

    def failed(self, error: Mapping[str, object]) -> None:
        """Send a failure as the last event."""
        self._add("error", **error)

    def _add(self, kind: str, **data: object) -> None:
        self._waiting.append({"kind": kind, **data})
        self._changed.set()

    async def stream(self) -> AsyncGenerator[str]:
        """Yield the events as they come, until the last one."""
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                yield ": still running\n\n"
                continue
            self._changed.clear()
            ready, self._waiting = self._waiting, []
            for event in ready:
                yield self._encoded(event)
                if event["kind"] in _LAST:
                    return

    def _encoded(self, event: Mapping[str, object]) -> str:
        named = {to_camel(name) if self._camel else name: event[name] for name in event}
        data = json.dumps(jsonable(named, camel=self._camel))
        return f"event: {event['kind']}\ndata: {data}\n\n"
