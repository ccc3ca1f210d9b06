"""The commands that share folders with other engines."""

from typing import Annotated

import typer

from allma_server.cli.commands.options import absolute
from allma_server.cli.completions import workspaces
from allma_server.cli.program import command
from allma_server.cli.shell import Shell

app = typer.Typer()

Folder = Annotated[str, typer.Argument(metavar="DIR", parser=absolute, autocompletion=workspaces)]


@command(app, "share")
async def share(
    shell: Shell,
    folder: Folder,
    name: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Its name for others.")
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option(
            metavar="PROVIDER/MODEL",
            help="Embedder of its vectors, which a team agreed on; else the engine's own.",
        ),
    ] = None,
) -> None:
    """Share an indexed folder with all engines of a cluster."""
    shell.show(await shell.run("share", doing="Sharing", path=folder, name=name, embedder=embedder))


@command(app, "unshare")
async def unshare(shell: Shell, folder: Folder) -> None:
    """Stop sharing a folder, and erase it in the cluster."""
    shell.show(await shell.run("unshare", doing="Erasing", path=folder))


@command(app, "shares")
async def list_shares(shell: Shell) -> None:
    """List the folders that this engine and others share."""
    result = await shell.run("shares")
    shell.show(result)
    if not result.shares and not result.notice:
        shell.say("Nothing is shared. `allma share DIR` shares an indexed folder.")
    shell.warn(result.notice)
