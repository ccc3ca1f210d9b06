"""The session of one client: what all its requests share, whatever transport carries them."""

import asyncio
from dataclasses import dataclass

from allma_server.protocols.client import ClientContext
from allma_server.protocols.engine_provider import EngineProvider
from allma_server.protocols.mcp.calls import ToolCalls
from allma_server.protocols.mcp.connection import Connection
from allma_server.protocols.mcp.prompts import Prompts
from allma_server.protocols.mcp.resources import Resources


@dataclass(frozen=True, slots=True)
class Session:
    """The request handlers of one client, with its folders, subscriptions and running calls."""

    connection: Connection
    calls: ToolCalls
    resources: Resources
    prompts: Prompts

    async def close(self) -> None:
        """End the session's background work; call this when the client has disconnected."""
        await self.connection.close()


def make_session(
    engine: EngineProvider, background: asyncio.TaskGroup, client: ClientContext
) -> Session:
    """Make the session of a client; the transport must close it.

    Args:
        engine: opened by the first request that needs it.
        background: owns the background work of all sessions of a transport.
        client: the principal, and its folders.
    """
    connection = Connection(engine, background, client)
    resources = Resources(connection)
    calls, prompts = ToolCalls(connection, resources), Prompts(connection)
    return Session(connection, calls, resources, prompts)
