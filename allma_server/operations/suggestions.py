"""What may have been meant by the name of a file that is not in the index."""

import contextlib
from collections.abc import AsyncGenerator

from allma_server.errors import DocumentNotFound
from allma_server.operations.call import Call


@contextlib.asynccontextmanager
async def suggesting(call: Call, name: str) -> AsyncGenerator[None]:
    """Where no document is found by a name, the failure names one of a similar name."""
    try:
        yield
    except DocumentNotFound as exc:
        similar = await call.engine.catalog.similar_path(name)
        if similar is None:
            raise
        hint = f"Did you mean {similar}?"
        raise DocumentNotFound(exc.message, f"{hint} {exc.hint or ''}".strip()) from exc
