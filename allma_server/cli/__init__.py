"""The shell's door: arguments become one operation, its result text or JSON."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program and exits: 0 done, 1 a foreseen failure, 2 wrong usage, 130 interrupted."""
    try:
        # Importing takes long enough for somebody to press Ctrl-C meanwhile.
        from allma_server.cli import streams
        from allma_server.cli.commands import app

        streams.prepare()
        try:
            app(args=arguments, prog_name="allma")
        except OSError as error:
            if not streams.unwritable(error):
                raise
            streams.complain(f"Error: The output cannot be written: {error.strerror}.")
            sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
