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

    calls: ToolCalls
    resources: Resources
    prompts: Prompts


def make_session(
    engine: EngineProvider, background: asyncio.TaskGroup, client: ClientContext
) -> Session:
    """Make the session of a client.

    Args:
        engine: opened by the first request that needs it.
        background: owns the session's polling; end it when the client has disconnected.
        client: who asks, and where it works.
    """
    connection = Connection(engine, background, client)
    resources = Resources(connection)
    return Session(ToolCalls(connection, resources), resources, Prompts(connection))
