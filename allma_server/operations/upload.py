"""Store a file that a client sends in an indexed folder, and index it."""

import asyncio
from pathlib import PurePath
from typing import Annotated

from pydantic import Field

from allma_server._internal.new_file import check_name, write_new_file
from allma_server.errors import InvalidArgument
from allma_server.operations.call import Call, Operation
from allma_server.operations.paths import ClientPath
from allma_server.operations.scope import indexed_folder
from allma_server.secrets import is_secret_file
from allma_server.types import IngestReport, Job, Right, format_of


async def upload(
    call: Call,
    workspace: Annotated[
        str, Field(description="An indexed folder, or a folder in one."), ClientPath.WORKSPACE
    ],
    name: Annotated[str, Field(description="The file's name, without a folder.")],
    content: Annotated[bytes, Field(min_length=1, description="What it contains.")],
) -> IngestReport | Job:
    """Store a new file in an indexed folder, and index it. An existing file is never replaced.

    Raises:
        DocumentNotFound: the folder is not indexed.
        InvalidArgument: the name is not allowed or in use, or Allma does not read such files.
    """
    check_name(name)
    _check_readable(PurePath(name))
    most = call.engine.config.max_file_mb
    if len(content) > most * 1_000_000:
        raise InvalidArgument(f"{name} is larger than the limit of {most} MB (max_file_mb).")
    folder = await indexed_folder(call, workspace)
    await call.engine.ingestion.locate(folder)
    path = await asyncio.to_thread(write_new_file, folder, name, content)
    found, part = await call.engine.ingestion.locate(path)
    return await call.engine.ingestion.run(
        [found], call.progress, deadline=call.deadline, only={part} if part else None
    )


def _check_readable(name: PurePath) -> None:
    if is_secret_file(name):
        raise InvalidArgument(f"{name} is the name of a secret; such files are never read.")
    if format_of(name) is None:
        raise InvalidArgument(f"Allma does not read {name.suffix.lower()} files.")


UPLOAD = Operation("upload", upload, Right.INDEX, writes=True)
"""Not in `OPERATIONS`: clients on this machine index files where they are."""
