"""`allma open`: a source in the editor, or the page in the browser."""

from pathlib import Path
from typing import Annotated

import typer

from allma_server.cli.program import command
from allma_server.cli.shell import Shell

app = typer.Typer()

Print = Annotated[bool, typer.Option("--print", help="Show the address; open no browser.")]
Number = Annotated[
    int | None,
    typer.Argument(metavar="N", help="Source N of the last search or answer."),
]


@command(app, "open", examples=["allma open", "allma open 2"])
async def open_(shell: Shell, number: Number = None, only_print: Print = False) -> None:
    """Open a source in your editor, or Allma in the browser.

    The editor is $VISUAL or $EDITOR. In the browser you are signed in; HTTP is served until the
    page is no longer used.
    """
    if number is None:
        await _open_page(shell, only_print)
        return
    from allma_server.cli.editor import open_source  # late: not for the help
    from allma_server.cli.last_sources import recall

    source = recall(shell.data_dir, number)
    if only_print:
        shell.show_files([source.path])
    else:
        await open_source(source)


async def _open_page(shell: Shell, only_print: bool) -> None:
    import webbrowser  # late: not for the help

    from allma_server.daemon.serving import start_serving
    from allma_server.types import LoginCode, PageAddress

    code: LoginCode = await shell.run("login", file=not only_print)
    if not code.urls:
        await start_serving(shell.data_dir)
        code = await shell.run("login", file=not only_print)
    # Through a file: the arguments of a browser are visible to other users of this computer.
    is_opened = code.file is not None and webbrowser.open(Path(code.file).as_uri())
    url, address = code.urls[0], f"{code.urls[0]}/#code={code.code}"
    shell.show(PageAddress(url if is_opened else address, is_opened, code.seconds))
    if is_opened:
        shell.say("If no page opens, run `allma open --print` and open the address it shows.")
