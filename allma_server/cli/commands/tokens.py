"""The commands for the tokens of users."""

from typing import Annotated

import typer

from allma_server.cli.commands.options import absolute
from allma_server.cli.program import command, group
from allma_server.cli.shell import Shell

app = typer.Typer()

Name = Annotated[str, typer.Argument(metavar="NAME", help="Who uses it.")]


async def list_tokens(shell: Shell) -> None:
    """Add, list and revoke the tokens of users of `allma serve`."""
    result = await shell.run("tokens.list")
    shell.show(result)
    if not result.tokens:
        shell.say("Nobody has a token. `allma tokens add NAME --can read` makes one.")


tokens = group(app, "tokens", list_tokens)
command(tokens, "list", "List the tokens of all users.")(list_tokens)


@command(tokens, "add")
async def add_token(
    shell: Shell,
    name: Name,
    can: Annotated[
        str,
        typer.Option(
            "--can",
            metavar="read|write|admin",
            help="write also indexes and forgets in the workspaces, admin does all.",
        ),
    ] = "read",
    workspaces: Annotated[
        list[str] | None,
        typer.Option(
            "--workspace",
            metavar="DIR",
            help="Only this indexed folder; may be repeated.",
            parser=absolute,
        ),
    ] = None,
    days: Annotated[
        float | None, typer.Option("--days", metavar="N", help="Days until it expires.")
    ] = None,
) -> None:
    """Make a token for a user; it is shown only now."""
    shell.show(
        await shell.run("tokens.add", name=name, can=can, workspaces=workspaces or None, days=days)
    )
    shell.say("Store the token now: it is not shown again.")


@command(tokens, "revoke")
async def revoke_token(shell: Shell, name: Name) -> None:
    """Revoke the token of a user."""
    shell.show(await shell.run("tokens.revoke", name=name))
