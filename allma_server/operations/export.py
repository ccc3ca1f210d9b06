"""Export everything into one file."""

from typing import Annotated

from pydantic import Field

from allma_server.operations.call import Call
from allma_server.operations.paths import ClientPath
from allma_server.operations.targets import target
from allma_server.types import Done


async def export(
    call: Call,
    path: Annotated[
        str, Field(description="The file to write; it must not exist."), ClientPath.FILE
    ],
) -> Done:
    """Copy the index and the conversations into one file, to import elsewhere."""
    size = await call.engine.catalog.export(target(path))
    return Done(
        f"Exported to {path} ({size / 1e6:.1f} MB). "
        "It contains your documents' text; store it safely."
    )
