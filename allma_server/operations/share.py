"""Share indexed folders with other engines, through a cluster."""

import os
import re
from typing import Annotated

from pydantic import Field

from allma_server._internal.path_text import readable
from allma_server._internal.paths import is_inside
from allma_server.operations.call import Call
from allma_server.operations.paths import ClientPath
from allma_server.operations.scope import indexed_folder
from allma_server.operations.text import render
from allma_server.types import Done, SharedFolder, SharedFolders

WAIT_SECONDS = 10.0
"""How long `share`, `unshare` and `forget` wait for the cluster."""


async def share(
    call: Call,
    path: Annotated[str, Field(description="An indexed folder."), ClientPath.FILE],
    name: Annotated[
        str | None, Field(description="Its name there; that of the folder without one.")
    ] = None,
    embedder: Annotated[
        str | None,
        Field(
            description="Embedder of its vectors (provider/model), the one that a team agreed on; "
            "this engine's own without one. Its texts are then embedded twice."
        ),
    ] = None,
) -> Done:
    """Share an indexed folder with all engines of a cluster: they find its passages with theirs.

    It is published with its changes in the background. Secrets in it are masked.
    """
    sharing = call.engine.sharing
    folder = await indexed_folder(call, path)
    name = name or await _name_of(call, folder)
    await sharing.share(folder, name, embedder)
    if await sharing.publisher.wait(name, WAIT_SECONDS):
        own = await _own(call, name)
        size = f"{own.documents} documents, {own.chunks} chunks" if own else "nothing yet"
        return Done(f"{readable(folder)} is shared as {name}: {size} are published.")
    return Done(f"{readable(folder)} is shared as {name}. {await _pending(call, name)}")


async def unshare(
    call: Call,
    path: Annotated[str, Field(description="A shared folder, or its name there."), ClientPath.FILE],
) -> Done:
    """Stop sharing a folder, and erase it in the cluster; here nothing is removed."""
    sharing = call.engine.sharing
    # A name has become a path in the client's folder.
    ended = await sharing.unshare(path, os.path.basename(path))
    if await sharing.publisher.wait(ended.name, WAIT_SECONDS):
        return Done(f"{ended.name} is no longer shared. The cluster has erased it.")
    return Done(f"{ended.name} is no longer published. {await _not_erased(call, ended.name)}")


async def list_shares(call: Call) -> SharedFolders:
    """List the folders that this engine and others share."""
    return await call.engine.sharing.list()


async def erase_shared(call: Call, path: str) -> str | None:
    """Return whether the cluster has erased what was forgotten; None if it was not shared."""
    sharing = call.engine.sharing
    concerned = [
        share
        for share in await sharing.shares.shares()
        if is_inside(path, share.path) or is_inside(share.path, path)
    ]
    for share in concerned:
        if is_inside(share.path, path):
            await sharing.unshare(share.path)
    for share in concerned:
        sharing.publisher.hurry(share.name)
        if not await sharing.publisher.wait_until_erased(share.name, WAIT_SECONDS):
            return await _not_erased(call, share.name)
    return "The cluster has erased it, too." if concerned else None


async def _name_of(call: Call, folder: str) -> str:
    """Return the name of a folder that is shared already, else one made of the folder's."""
    for share in await call.engine.sharing.shares.shares():
        if share.path == folder:
            return share.name
    return re.sub(r"[^A-Za-z0-9_-]+", "-", os.path.basename(folder)).strip("-_")[:64]


async def _own(call: Call, name: str) -> SharedFolder | None:
    shares = (await call.engine.sharing.list()).shares
    return next((each for each in shares if each.name == name and each.path), None)


async def _pending(call: Call, name: str) -> str:
    own = await _own(call, name)
    if own is None or own.reason is None:
        return f"{own.pending if own else 0} chunks are still to be published."
    return f"It is not published completely yet: {own.reason} It will be tried again."


async def _not_erased(call: Call, name: str) -> str:
    reason = call.engine.sharing.publisher.failures.get(name)
    return (
        f"The cluster has not erased it yet: {reason or 'it is busy.'} It will be tried again; "
        "`allma shares` lists it until then."
    )


@render.register
def _shares_text(result: SharedFolders) -> str:
    lines = [_line(each) for each in result.shares]
    if not lines and not result.notice:
        lines = ["Nothing is shared. `allma share DIR` shares an indexed folder."]
    return "\n".join(filter(None, [*lines, result.notice]))


def _line(share: SharedFolder) -> str:
    whose = f"this engine's {readable(share.path)}" if share.path else "another engine's"
    about = f"{share.name}: {whose}, {share.documents} documents, {share.chunks} chunks"
    if share.path:
        about += f", {share.state}" + (f", {share.pending} pending" if share.pending else "")
    if share.words_only:
        about += ", searched by words only: it has vectors of another embedder"
    if share.embedder:
        about += f" ({share.embedder})" if share.words_only else f", vectors of {share.embedder}"
    return about + (f". {share.reason}" if share.reason else "")
