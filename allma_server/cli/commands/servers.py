"""The help of the servers, which `__main__` starts before the shell is imported."""

import typer

from allma_server.cli.commands.options import SearchedFolders
from allma_server.cli.shell import Data, Solo

app = typer.Typer()


@app.command("lsp")
def lsp(data: Data = None, solo: Solo = False) -> None:
    """Serve an editor: LSP on standard input and output."""
    _must_be_first("lsp")


@app.command("mcp")
def mcp(folders: SearchedFolders = None, data: Data = None, solo: Solo = False) -> None:
    """Serve an AI client: MCP on standard input and output."""
    _must_be_first("mcp")


def _must_be_first(name: str) -> None:
    raise typer.BadParameter(f"write it first: allma-server {name} [OPTIONS]", param_hint=name)
