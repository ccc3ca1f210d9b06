"""Allma: one local engine that knows your folders and answers from them."""

import sys

from allma_server._internal.telemetry import disable_telemetry

__version__ = "0.1.0"

# Every process of Allma begins with this import, whichever module it runs.
disable_telemetry()

# httpx would import the libraries of its command line with itself, if they are installed: a tenth
# of the engine's start.
sys.modules.setdefault("httpx._main", None)  # pyright: ignore[reportArgumentType]
