"""The command that tells AI clients of Allma."""

from typing import Annotated

import typer

from allma_server.cli.commands.options import SearchedFolders, absolute
from allma_server.cli.program import command
from allma_server.cli.shell import Shell

app = typer.Typer()


@command(app, "install")
async def install(
    shell: Shell,
    name: Annotated[
        str | None, typer.Argument(metavar="CLIENT", help="Such as cursor; none lists them.")
    ] = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Show the change, and write nothing.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take Allma out of the client's file again.")
    ] = False,
    folders: SearchedFolders = None,
) -> None:
    """Add Allma to the MCP configuration of an AI client."""
    # Parsers and their like are needed by this command alone.
    from allma_server.integrations import install

    if name is None:
        shell.show(install.overview())
        return
    client = install.find_client(name)
    if remove:
        shell.show(install.remove(client, write=not only_print))
        return
    data = absolute(shell.options.data) if shell.options.data else None
    launch = install.own_launch(folders or [], data)
    shell.show(install.install(client, launch, write=not only_print))
