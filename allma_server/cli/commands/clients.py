"""The command that adds Allma to AI clients."""

from typing import Annotated

import typer

from allma_server.cli import completions
from allma_server.cli.commands.options import SearchedFolders, absolute
from allma_server.cli.program import command
from allma_server.cli.shell import Shell

app = typer.Typer()


@command(app, "install")
async def install(
    shell: Shell,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="CLIENT",
            help="Such as cursor; list all without it.",
            autocompletion=completions.clients,
        ),
    ] = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Show the change without writing it.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove Allma from the client's file.")
    ] = False,
    folders: SearchedFolders = None,
) -> None:
    """Add Allma to the MCP configuration of an AI client."""
    from allma_server.integrations import install  # late: not for the help

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
