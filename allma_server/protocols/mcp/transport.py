"""The transport over lines, and the eras of the protocol."""

import asyncio
import json
from typing import Any, cast

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage
from pydantic import ValidationError

from allma_server.protocols.faults import INVALID_REQUEST, Fault, Message
from allma_server.protocols.framing import Malformed, Messages
from allma_server.protocols.stdio import Writer

EOF_SECONDS = 2.0
"""Seconds to wait for the next response after the client has closed its input."""


class LineTransport:
    """One era of a connection.

    A client that sends `initialize` after `server/discover` gets a new era, as if `initialize` had
    been its first message.
    """

    def __init__(self, messages: Messages, writer: Writer) -> None:
        self._messages = messages
        self._writer = writer
        self._waiting: set[str | int] = set()
        self._answered = asyncio.Event()
        self._restart: SessionMessage | None = None
        self._seen: set[str] = set()

    async def serve(
        self, server: Server[Any], opening: SessionMessage | None
    ) -> SessionMessage | None:
        """Serve until the client closes its input; return the message that begins another era."""
        options = server.create_initialization_options(NotificationOptions(resources_changed=True))
        into, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, out = anyio.create_memory_object_stream[SessionMessage](0)
        with into, incoming, outgoing, out:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, into, opening)
                tasks.start_soon(self._write, out, tasks.cancel_scope)
                await serve_dual_era_loop(
                    server, incoming, outgoing, lifespan_state=None, init_options=options
                )
                tasks.cancel_scope.cancel()
        return self._restart

    async def _read(
        self,
        into: MemoryObjectSendStream[SessionMessage | Exception],
        opening: SessionMessage | None,
    ) -> None:
        async with into:
            if opening is not None:
                await self._take(opening, into)
            while (parsed := await self._messages.next()) is not None:
                message = parsed if isinstance(parsed, Malformed) else _message(parsed)
                if isinstance(message, Malformed):
                    for answer in message.responses:
                        await self._send(json.dumps(answer))
                elif self._restarts(message):
                    self._restart = message
                    break
                else:
                    await self._take(message, into)
            with anyio.move_on_after(EOF_SECONDS) as grace:
                while self._waiting:
                    self._answered.clear()
                    await self._answered.wait()
                    grace.deadline = anyio.current_time() + EOF_SECONDS

    def _restarts(self, message: SessionMessage) -> bool:
        method = getattr(message.message, "method", None)
        restarts = method == "initialize" and self._seen == {"server/discover"}
        if method:
            self._seen.add(method)
        return restarts

    async def _take(
        self, message: SessionMessage, into: MemoryObjectSendStream[SessionMessage | Exception]
    ) -> None:
        match message.message:
            case types.JSONRPCRequest(id=id):
                self._waiting.add(id)
            case types.JSONRPCNotification(method="notifications/cancelled", params={**params}):
                self._settle(params.get("requestId"))
            case _:
                pass
        await into.send(message)

    async def _write(
        self, out: MemoryObjectReceiveStream[SessionMessage], scope: anyio.CancelScope
    ) -> None:
        async for item in out:
            message = item.message
            try:
                await self._send(_encoded(message))
            except ConnectionError:
                scope.cancel()  # the client no longer reads
                return
            if isinstance(message, types.JSONRPCResponse | types.JSONRPCError):
                self._settle(message.id)

    def _settle(self, id: object) -> None:
        if isinstance(id, int | str):
            self._waiting.discard(id)
        self._answered.set()

    async def _send(self, data: str) -> None:
        self._writer.write(data.encode() + b"\n")
        await self._writer.drain()


def _encoded(message: types.JSONRPCMessage) -> str:
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True)
    except ValueError:
        # A lone surrogate that came from the client has no UTF-8 form.
        return json.dumps(message.model_dump(by_alias=True, exclude_unset=True))


def _message(parsed: Message) -> SessionMessage | Malformed:
    if "params" in parsed:
        parsed["params"] = _without_nulls(parsed["params"])
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_python(parsed, by_name=False))
    except ValidationError:
        fault = Fault(INVALID_REQUEST, "The message is not valid JSON-RPC.")
        return Malformed(fault, (parsed.get("id"),))


def _without_nulls(params: Any) -> Any:
    """Parameters without members that are null, which some clients send instead of omitting them.

    The arguments of a tool stay as they are.
    """
    if not isinstance(params, dict):
        return params
    return {
        name: value if name == "arguments" else _without_nulls(value)
        for name, value in cast(dict[str, object], params).items()
        if value is not None
    }
