"""Modules that a running program imports when they are first wanted, and keeps until it ends."""

import asyncio
import gc
import sys
from importlib import import_module


async def imported(name: str) -> None:
    """Imports a module in a thread, so that the loop goes on; what it made is never collected.

    With both protocols there are 140,000 objects that live as long as the process. Every full
    collection looked through all of them, which held the loop for 150 ms.
    """
    await asyncio.to_thread(_import_for_good, name)


def _import_for_good(name: str) -> None:
    if name in sys.modules:
        import_module(name)  # another thread may still be at it
        return
    gc.disable()
    try:
        import_module(name)
    finally:
        gc.freeze()
        gc.enable()
