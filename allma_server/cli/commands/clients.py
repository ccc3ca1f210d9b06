"""The command that adds Allma to AI clients."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from allma_server.cli import completions
from allma_server.cli.commands.options import SearchedFolders, absolute
from allma_server.cli.program import command
from allma_server.cli.shell import Shell

if TYPE_CHECKING:
    from allma_server.integrations import AIClient
    from allma_server.integrations.install import Installation

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
    tell: Annotated[
        bool | None,
        typer.Option(
            "--guide/--no-guide",
            help="Also tell the client when to use Allma; asks by default.",
        ),
    ] = None,
    folders: SearchedFolders = None,
) -> None:
    """Add Allma to the MCP configuration of an AI client."""
    from allma_server.integrations import guide, install  # late: not for the help

    if name is None:
        shell.show(install.overview())
        return
    client = install.find_client(name)
    if remove:
        done = install.remove(client, write=not only_print)
        shell.show(replace(done, guide=guide.remove_guide(client, write=not only_print)))
        return
    data = absolute(shell.options.data) if shell.options.data else None
    launch = install.own_launch(folders or [], data)
    done = install.install(client, launch, write=not only_print)
    offered = guide.add_guide(client, write=False) if tell is not False else []
    if only_print or tell or not any(each.change for each in offered):
        if tell and not only_print:
            offered = guide.add_guide(client, write=True)
        shell.show(replace(done, guide=offered))
        return
    shell.show(done)
    _offer(shell, client, offered)


def _offer(shell: Shell, client: "AIClient", offered: "list[Installation]") -> None:
    """Show what tells a client when to use Allma, and write it if the user wants it."""
    from allma_server.integrations import guide

    if not shell.is_dialog:
        told = f"`allma install {client.name} --guide`"
        shell.say(f"{told} also tells {client.title} when to use Allma.")
        return
    for each in offered:
        shell.show(each)
    if typer.confirm("Write this too, so that the client knows when to use Allma?", err=True):
        for each in guide.add_guide(client, write=True):
            if each.written:
                backup = f" Backup: {each.backup}" if each.backup else ""
                shell.say(f"Written to {each.file}.{backup}")
