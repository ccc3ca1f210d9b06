"""Everything in one file."""

from typing import Annotated

from pydantic import Field

from allma_server.model import Done
from allma_server.operations.call import Call


async def export(
    call: Call,
    path: Annotated[str, Field(description="The file to write, absolute; it must be a new one.")],
) -> Done:
    """Copy the index and the conversations into one file, to be imported elsewhere."""
    size = await call.engine.catalog.export(path)
    return Done(f"Everything is in {path} now ({size / 1e6:.1f} MB): your texts too, so keep it.")
