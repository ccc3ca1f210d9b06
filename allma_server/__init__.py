"""Allma: one local engine that knows your folders and answers from them."""

from allma_server._internal.telemetry import disable_telemetry

__version__ = "0.1.0"

# Every process of Allma begins with this import, whichever module it runs.
disable_telemetry()
