"""The shell's door: arguments become one operation, its result text or JSON."""

from collections.abc import Sequence

from allma_server.cli import streams
from allma_server.cli.commands import app


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program and exits: 0 done, 1 a foreseen failure, 2 wrong usage, 130 interrupted."""
    streams.prepare()
    app(args=arguments, prog_name="allma")
