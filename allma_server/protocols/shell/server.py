"""The server of the shell's protocol: each request is an operation."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

from allma_server._internal.tasks import background_tasks
from allma_server.errors import InvalidArgument
from allma_server.operations import BY_NAME, Call, Operation, jsonable
from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.faults import Fault, fault_of, method_not_found
from allma_server.protocols.folders import bases, workspace_at
from allma_server.protocols.framing import LARGEST_MESSAGE, Frames, Malformed, Messages
from allma_server.protocols.shell import LOOK_SECONDS
from allma_server.protocols.stdio import Writer
from allma_server.types import Citation

_log = logging.getLogger(__name__)


async def serve_shell(
    engine: EngineProvider,
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
                for response in message.responses:
                    await connection.send(response)
            elif "method" in message and "id" in message:
                calls.create_task(connection.answer(message))


class _Connection:
    def __init__(
        self,
        engine: EngineProvider,
        writer: Writer,
        client: ClientContext,
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._client = client

    async def answer(self, request: Mapping[str, Any]) -> None:
        """Run one operation and send its result or its failure.

        It raises nothing: a failed task would cancel the other requests.
        """
        id = request["id"]
        operation = BY_NAME.get(request["method"])
        if operation is None:
            await self._fail(id, method_not_found(f"There is no operation {request['method']!r}."))
            return
        try:
            result = await self._run(operation, request, _Progress(id, self))
            answer = {"result": jsonable(result), "type": type(result).__name__}
            if not await self.send({"jsonrpc": "2.0", "id": id, **answer}):
                raise InvalidArgument(
                    f"The result exceeds {LARGEST_MESSAGE:,} bytes.", "Request less at a time."
                )
        except ConnectionError:
            return
        except Exception as exc:
            await self._fail(id, fault_of(exc, _log))

    async def _run(
        self, operation: Operation, request: Mapping[str, Any], progress: "_Progress"
    ) -> Any:
        arguments: Any = request.get("params") or {}
        if not isinstance(arguments, dict):
            raise InvalidArgument(f"{operation.name} takes its arguments by name.")
        client, engine = self._client, await self._engine()
        call = Call(
            engine,
            client.principal,
            progress,
            workspaces=await workspace_at(engine, client.cwd),
            look_seconds=LOOK_SECONDS,
            folders=bases(client.cwd),
            defaults=client.defaults,
        )
        return await operation(call, cast(dict[str, object], arguments))

    async def _fail(self, id: Any, fault: Fault) -> None:
        try:
            await self.send(fault.response(id))
        except ConnectionError:
            return

    async def send(self, message: Mapping[str, Any]) -> bool:
        """Send a message; return False if it is too large."""
        body = json.dumps(message).encode()
        if len(body) > LARGEST_MESSAGE:
            return False
        self._writer.write(Frames.frame(body))
        await self._writer.drain()
        return True


class _Progress:
    """Progress of one request, sent as notifications."""

    def __init__(self, id: Any, connection: _Connection) -> None:
        self._id = id
        self._connection = connection

    async def report(self, done: int, total: int | None, message: str) -> None:
        await self._notify("report", [done, total, message])

    async def started(self, conversation_id: str, message_id: str) -> None:
        await self._notify("started", [conversation_id, message_id])

    async def thinking(self, delta: str) -> None:
        await self._notify("thinking", delta)

    async def text(self, delta: str) -> None:
        await self._notify("text", delta)

    async def sources(self, citations: Sequence[Citation]) -> None:
        await self._notify("sources", jsonable(citations))

    async def _notify(self, kind: str, value: Any) -> None:
        params = {"id": self._id, kind: value}
        await self._connection.send({"jsonrpc": "2.0", "method": "progress", "params": params})
