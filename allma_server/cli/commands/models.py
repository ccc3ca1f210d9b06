"""The commands for chat models."""

from typing import Annotated

import typer

from allma_server.cli import completions
from allma_server.cli.program import command, group
from allma_server.cli.shell import Shell

app = typer.Typer()

Name = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="Such as llama3.2:3b.", autocompletion=completions.models),
]


async def list_models(shell: Shell) -> None:
    """List, show, pull, use and delete models."""
    result = await shell.run("models.list")
    shell.show(result)
    if not result.models:
        shell.say("No chat models installed. `allma models pull llama3.2` installs one.")


models = group(app, "models", list_models)
command(models, "list", "List the installed models; a dot marks the one in use.")(list_models)


@command(models, "show")
async def show_model(shell: Shell, name: Name) -> None:
    """Show a model's size, context length and capabilities."""
    shell.show(await shell.run("models.show", name=name))


@command(models, "pull")
async def pull_model(shell: Shell, name: Name) -> None:
    """Download a model."""
    shell.show(await shell.run("models.pull", doing="Pulling", unit="bytes", name=name))


@command(models, "use")
async def use_model(shell: Shell, name: Name) -> None:
    """Choose the model that answers."""
    shell.show(await shell.run("models.use", name=name))


@command(models, "delete")
async def delete_model(shell: Shell, name: Name) -> None:
    """Delete a model from the provider's disk."""
    shell.show(await shell.run("models.delete", name=name))
