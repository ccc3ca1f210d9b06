"""Where the log goes: a rotating file in the data directory, and warnings to stderr on demand."""

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

_FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


def log_file(data_dir: Path) -> Path:
    """The log of a data directory."""
    return data_dir / "logs" / "allma.log"


def configure_logging(data_dir: Path, *, verbose: bool = False) -> None:
    """Sends the log of this process to the data directory's file, five of 2 MB at most.

    Without a writable file nothing is logged: the failure that matters is the one that follows.
    `verbose` shows warnings on stderr as well.
    """
    handlers: list[logging.Handler] = [logging.NullHandler()]
    path = log_file(data_dir)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handlers.append(
            RotatingFileHandler(path, maxBytes=2_000_000, backupCount=4, encoding="utf-8")
        )
    except OSError:
        verbose = True
    if verbose:
        stderr = logging.StreamHandler(sys.stderr)
        stderr.setLevel(logging.WARNING)
        handlers.append(stderr)
    logging.basicConfig(level=logging.WARNING, format=_FORMAT, handlers=handlers, force=True)
    logging.getLogger("allma_server").setLevel(logging.INFO)
    logging.captureWarnings(True)
