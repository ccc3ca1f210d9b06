"""The program: `allma` in a shell, `allma-server lsp` and `allma-server mcp` for other programs.

Standard library only until it is known what is wanted: a protocol's wire must be taken before
anything is imported that might print.
"""

import argparse
import os
import sys
from typing import Literal, NoReturn


def main() -> None:
    """Runs what the command line asks for, and exits."""
    match sys.argv[1:]:
        case ["lsp" | "mcp" as door, *arguments]:
            _serve(door, arguments)
        case _:
            from allma_server.cli import main as shell

            shell()


def _options(protocol: str, arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"allma-server {protocol}",
        description="Speaks the protocol on standard input and output.",
    )
    parser.add_argument("--data", metavar="DIR", help="where everything Allma stores lives")
    parser.add_argument("--solo", action="store_true", help="run the engine in this process")
    if protocol == "mcp":
        parser.add_argument(
            "--workspace",
            metavar="DIR",
            action="append",
            default=[],
            help="a folder to index and to search (may be given several times)",
        )
    else:
        parser.set_defaults(workspace=[])
    return parser.parse_args(arguments)


def _serve(door: Literal["lsp", "mcp"], arguments: list[str]) -> NoReturn:
    options = _options(door, arguments)
    folders = [os.path.abspath(folder) for folder in options.workspace]
    if not options.solo:
        from allma_server.daemon.forward import forward, warn
        from allma_server.daemon.link import NoSockets
        from allma_server.locations import data_dir, project_folder, question_settings

        hello = {
            "workspaces": folders,
            "hint": project_folder(),
            "cwd": os.getcwd(),
            "settings": question_settings(),
        }
        try:
            forward(door, data_dir(options.data), hello)
        except NoSockets as exc:
            warn(f"no shared engine, {exc}; it runs in this process")

    os.umask(0o077)  # whatever a library writes is its user's alone
    from allma_server.protocols.stdio import open_stdio

    wire = open_stdio()
    from allma_server.protocols.in_process import serve_solo

    serve_solo(door, wire, {"data_dir": options.data}, folders)


if __name__ == "__main__":
    main()
