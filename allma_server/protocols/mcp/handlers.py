"""What answers the requests of one client, beyond the handshake."""

from dataclasses import dataclass

from allma_server.protocols.mcp.calls import Calls
from allma_server.protocols.mcp.connection import Client
from allma_server.protocols.mcp.prompts import Prompts
from allma_server.protocols.mcp.resources import Resources


@dataclass(frozen=True, slots=True)
class Handlers:
    """The parts of the door that one client uses."""

    calls: Calls
    resources: Resources
    prompts: Prompts


def make_handlers(client: Client) -> Handlers:
    """The parts for a client."""
    resources = Resources(client)
    return Handlers(Calls(client, resources), resources, Prompts(client))
