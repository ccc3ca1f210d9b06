"""The servers: that of HTTP, and the help of those that `__main__` starts before the shell."""

from typing import Annotated

import typer

from allma_server.cli.commands.options import SearchedFolders
from allma_server.cli.program import command
from allma_server.cli.shell import Data, Shell, Solo

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


Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Listen here, not at the setting http_host.")
]
Port = Annotated[
    int | None, typer.Option(min=0, max=65_535, help="Listen here, not at the setting http_port.")
]


UntilIdle = Annotated[
    bool, typer.Option("--until-idle", help="Also end when unused for idle_minutes.")
]


async def serve(
    shell: Shell, host: Host = None, port: Port = None, until_idle: UntilIdle = False
) -> None:
    """Serve HTTP until Ctrl-C: the page, /api and /mcp, for users with a token."""
    import asyncio  # late: not for the help
    import signal

    from allma_server.config import load_config
    from allma_server.protocols.http.client import serve as serve_http
    from allma_server.types import Listening

    announced: set[str] = set()

    def announce(url: str) -> None:
        if url not in announced:  # once: the engine may have been started again
            shell.show(Listening(url))
            announced.add(url)

    given = {"data_dir": shell.options.data, "http_host": host, "http_port": port}
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        except NotImplementedError:
            break  # Windows: Ctrl-C interrupts
    await serve_http(
        load_config(given),
        announce,
        stop,
        solo=shell.options.solo,
        until_idle=until_idle,
    )


command(app, "serve")(serve)
command(app, "http", "The same as `serve`.")(serve)
