"""The command line: parse arguments, run an operation, print the result as text or JSON."""

import gc
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program and exit: 0 done, 1 failure, 2 wrong usage, 130 interrupted."""
    # Imports make many objects and no garbage: looking for it takes a twentieth of a search.
    gc.set_threshold(50_000)
    try:
        # Late, so that Ctrl-C during the import is handled too.
        from allma_server.cli import streams
        from allma_server.cli.commands import app

        streams.prepare()
        try:
            app(args=arguments, prog_name="allma")
        except OSError as error:
            if not streams.is_write_failure(error):
                raise
            streams.write_error(f"Error: Cannot write the output: {error.strerror}.")
            sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
