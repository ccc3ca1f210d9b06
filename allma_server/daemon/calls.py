"""The shell's door: one operation a line, its progress and its result as lines.

    → {"operation": "search", "arguments": {…}}
    ← {"started": [conversation, message]} | {"report": [done, total, message]}
      | {"text": …} | {"sources": […]}                                  any number
    ← {"result": …} | {"error": {code, message, hint}}                  once

Closing the connection cancels what is under way.
"""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from allma_server.doors.source import EngineSource
from allma_server.doors.streams import Writer
from allma_server.errors import AllmaError, InvalidArgument, as_dict
from allma_server.model import Citation
from allma_server.operations import BY_NAME, Call, jsonable
from allma_server.tasks import background_tasks

log = logging.getLogger(__name__)


async def serve_calls(engine: EngineSource, reader: asyncio.StreamReader, writer: Writer) -> None:
    """Serves one shell until it closes its side."""
    async with background_tasks() as tasks:
        while line := await reader.readline():
            answering = tasks.create_task(_answer(engine, line, _Lines(writer)))
            # Nothing more is said before the answer, so a closed connection shows as its end.
            leaving = tasks.create_task(reader.read(1))
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                return
            leaving.cancel()


class _Lines:
    """Progress as lines."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def report(self, done: int, total: int | None, message: str) -> None:
        await self.say({"report": [done, total, message]})

    async def started(self, conversation_id: str, message_id: str) -> None:
        await self.say({"started": [conversation_id, message_id]})

    async def text(self, delta: str) -> None:
        await self.say({"text": delta})

    async def sources(self, citations: Sequence[Citation]) -> None:
        await self.say({"sources": jsonable(citations)})

    async def say(self, line: Mapping[str, Any]) -> None:
        self._writer.write(json.dumps(line).encode() + b"\n")
        await self._writer.drain()


async def _answer(engine: EngineSource, line: bytes, lines: _Lines) -> None:
    try:
        asked = json.loads(line)
        operation = BY_NAME.get(asked["operation"])
        if operation is None:
            raise InvalidArgument(f"There is no operation {asked['operation']!r}.")
        result = await operation(Call(await engine(), lines), asked["arguments"])
        await lines.say({"result": jsonable(result)})
    except AllmaError as exc:
        await lines.say({"error": as_dict(exc)})
    except ConnectionError:
        return
    except Exception:
        log.exception("an operation failed")
        bug = AllmaError("Something went wrong in Allma.", "Its log has the details.")
        await lines.say({"error": as_dict(bug)})
