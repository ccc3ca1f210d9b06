"""Where a door has its engine from; kept light, for a handshake needs no engine."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allma_server.engine import Engine

EngineSource = Callable[[], Awaitable["Engine"]]
"""Gives the engine that the connections of a process share; whoever asks first has it opened."""
