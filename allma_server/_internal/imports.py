"""Import heavy modules late, without blocking the event loop."""

import asyncio
import gc
import sys
from importlib import import_module


async def imported(name: str) -> None:
    """Import a module in a thread, and exclude its objects from garbage collection.

    The two protocol libraries create 140,000 objects that live as long as the process. Every full
    collection scanned them all and blocked the loop for 150 ms.
    """
    await asyncio.to_thread(_import_and_freeze, name)


def _import_and_freeze(name: str) -> None:
    if name in sys.modules:
        import_module(name)  # another thread may still be importing it
        return
    gc.disable()
    try:
        import_module(name)
    finally:
        gc.freeze()
        gc.enable()
