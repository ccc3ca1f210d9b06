"""Suggest an indexed file with a similar name."""

import contextlib
from collections.abc import AsyncGenerator

from allma_server.errors import DocumentNotFound
from allma_server.operations.call import Call


@contextlib.asynccontextmanager
async def suggest_similar(call: Call, name: str) -> AsyncGenerator[None]:
    """Add a similar path to the hint when no document has this name."""
    try:
        yield
    except DocumentNotFound as exc:
        similar = await call.engine.catalog.similar_path(name)
        if similar is None:
            raise
        hint = f"Did you mean {similar}?"
        raise DocumentNotFound(exc.message, f"{hint} {exc.hint or ''}".strip()) from exc
