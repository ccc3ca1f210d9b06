"""The program: `allma` in a shell, `allma-server lsp` and `allma-server mcp` for other programs.

Standard library only until the command is known: a protocol must own standard output before
anything is imported that might print.
"""

import os
import sys
from typing import TYPE_CHECKING, Literal, NoReturn

if TYPE_CHECKING:
    import argparse


def main() -> None:
    """Run the command line, and exit."""
    match sys.argv[1:]:
        case ["lsp" | "mcp" as protocol, *arguments]:
            _serve(protocol, arguments)
        case _:
            from allma_server.cli import main as shell

            shell()


def _options(protocol: str, arguments: list[str]) -> "argparse.Namespace":
    import argparse  # late: not for the shell

    parser = argparse.ArgumentParser(
        prog=f"allma-server {protocol}",
        description="Serve the protocol on standard input and output.",
    )
    parser.add_argument("--data", metavar="DIR", help="the data directory")
    parser.add_argument("--solo", action="store_true", help="run the engine in this process")
    if protocol == "mcp":
        parser.add_argument(
            "--workspace",
            metavar="DIR",
            action="append",
            default=[],
            help="a folder to index and to search (repeatable)",
        )
    else:
        parser.set_defaults(workspace=[])
    return parser.parse_args(arguments)


def _serve(protocol: Literal["lsp", "mcp"], arguments: list[str]) -> NoReturn:
    options = _options(protocol, arguments)
    folders = [os.path.abspath(folder) for folder in options.workspace]
    from allma_server.errors import PathNotFound
    from allma_server.locations import data_dir, project_folder, question_settings

    try:
        data = data_dir(options.data)
    except PathNotFound as exc:
        sys.exit(f"Error: {exc}")
    if not options.solo:
        from allma_server.daemon.forward import forward, warn
        from allma_server.daemon.link import NoSockets

        hello = {
            "workspaces": folders,
            "project_folder": project_folder(),
            "cwd": os.getcwd(),
            "settings": question_settings(),
        }
        try:
            forward(protocol, data, hello)
        except NoSockets as exc:
            warn(f"cannot share the engine ({exc}); it runs in this process")

    os.umask(0o077)  # files that libraries write are private too
    from allma_server.protocols.stdio import open_stdio

    wire = open_stdio()
    from allma_server.protocols.in_process import serve_solo

    serve_solo(protocol, wire, {"data_dir": options.data}, folders)


if __name__ == "__main__":
    main()
