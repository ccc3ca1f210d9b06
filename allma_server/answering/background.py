"""Requests to chat models that are made while nobody asks a question."""

import asyncio
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class BackgroundRequests:
    """What runs in quiet moments.

    `requests`: to a model, which each question cancels. `calibrating`: models whose calibration has
    begun. `quiet_seconds`: for so long nobody has asked before a request is made.
    """

    requests: set[asyncio.Task[Any]] = field(default_factory=set["asyncio.Task[Any]"])
    calibrating: set[str] = field(default_factory=set[str])
    quiet_seconds: float = 30.0
