"""How a protocol gets its engine. Light, because a handshake needs no engine."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allma_server.engine import Engine

EngineProvider = Callable[[], Awaitable["Engine"]]
"""Returns the engine that all connections of a process share; the first call opens it."""
