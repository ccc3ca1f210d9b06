"""The shell's server: one connection, whose requests are operations."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

from allma_server._internal.tasks import background_tasks
from allma_server.errors import AllmaError, InvalidArgument, as_dict
from allma_server.operations import BY_NAME, Call, jsonable
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineSource
from allma_server.protocols.folders import bases
from allma_server.protocols.framing import (
    INVALID_PARAMS,
    LARGEST_MESSAGE,
    Frames,
    Malformed,
    Messages,
)
from allma_server.protocols.stdio import Writer
from allma_server.types import Citation

_FAILED = -32000

_log = logging.getLogger(__name__)


async def serve_shell(
    engine: EngineSource,
    reader: asyncio.StreamReader,
    writer: Writer,
    client: ClientContext,
) -> None:
    """Serve one shell until it closes the connection, which cancels its running requests."""
    connection = _Connection(engine, writer, client)
    messages = Messages(reader, Frames())
    async with background_tasks() as calls:
        while (message := await messages.next()) is not None:
            if isinstance(message, Malformed):
                for answer in message.answers:
                    await connection.send(answer)
            elif "method" in message and "id" in message:
                calls.create_task(connection.answer(message))


class _Connection:
    def __init__(
        self,
        engine: EngineSource,
        writer: Writer,
        client: ClientContext,
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._client = client

    async def answer(self, request: Mapping[str, Any]) -> None:
        """Runs one operation and sends what comes of it; a task that raised would end the rest."""
        id = request["id"]
        try:
            result = await self._run(request, _Progress(id, self))
            if not await self.send({"jsonrpc": "2.0", "id": id, "result": jsonable(result)}):
                raise InvalidArgument(
                    "The result is larger than a message may be.", "Ask for less at a time."
                )
        except AllmaError as exc:
            await self._fail(id, exc)
        except ConnectionError:
            return
        except Exception:
            _log.exception("an operation failed")
            await self._fail(
                id, AllmaError("Unexpected error.", "Please report it with Allma's log.")
            )

    async def _run(self, request: Mapping[str, Any], progress: "_Progress") -> Any:
        operation = BY_NAME.get(request["method"])
        if operation is None:
            raise InvalidArgument(f"There is no operation {request['method']!r}.")
        arguments: Any = request.get("params") or {}
        if not isinstance(arguments, dict):
            raise InvalidArgument(f"{operation.name} takes its arguments by name.")
        client = self._client
        call = Call(
            await self._engine(),
            client.principal,
            progress,
            folders=bases(client.cwd),
            defaults=client.defaults,
        )
        return await operation(call, cast(dict[str, Any], arguments))

    async def _fail(self, id: Any, error: AllmaError) -> None:
        code = INVALID_PARAMS if isinstance(error, InvalidArgument) else _FAILED
        failure = {"code": code, "message": str(error), "data": as_dict(error)}
        try:
            await self.send({"jsonrpc": "2.0", "id": id, "error": failure})
        except ConnectionError:
            return

    async def send(self, message: Mapping[str, Any]) -> bool:
        """Sends a message; False when it is too large for one."""
        body = json.dumps(message).encode()
        if len(body) > LARGEST_MESSAGE:
            return False
        self._writer.write(Frames.frame(body))
        await self._writer.drain()
        return True


class _Progress:
    """Progress of one request, as notifications."""

    def __init__(self, id: Any, connection: _Connection) -> None:
        self._id = id
        self._connection = connection

    async def report(self, done: int, total: int | None, message: str) -> None:
        await self._tell("report", [done, total, message])

    async def started(self, conversation_id: str, message_id: str) -> None:
        await self._tell("started", [conversation_id, message_id])

    async def text(self, delta: str) -> None:
        await self._tell("text", delta)

    async def sources(self, citations: Sequence[Citation]) -> None:
        await self._tell("sources", jsonable(citations))

    async def _tell(self, kind: str, value: Any) -> None:
        params = {"id": self._id, kind: value}
        await self._connection.send({"jsonrpc": "2.0", "method": "progress", "params": params})
