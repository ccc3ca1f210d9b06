"""Log to a rotating file in the data directory, and warnings to stderr on request."""

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import cast

from allma_server._internal.private import is_foreign, make_private_folder, private_opener

_FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


AUDIT = "allma_server.audit"
"""The logger of changes: who changed what."""


def audit_file(data_dir: Path) -> Path:
    """Return the file with a line for every change."""
    return data_dir / "logs" / "audit.log"


def log_file(data_dir: Path) -> Path:
    """Return the log file of a data directory."""
    return data_dir / "logs" / "allma.log"


@contextmanager
def logging_to(data_dir: Path, *, verbose: bool = False) -> Generator[None]:
    """Log to the data directory's file, at most five files of 2 MB, until the block ends.

    Changes also go to the file of `audit_file`.
    Python's warnings go there too. With `verbose`, warnings and errors also go to stderr; they
    do as well when the file cannot be written.
    """
    root, ours = logging.getLogger(), logging.getLogger("allma_server")
    handlers = [(root, each) for each in _handlers(log_file(data_dir), verbose=verbose)]
    handlers += [(logging.getLogger(AUDIT), each) for each in _file_handlers(audit_file(data_dir))]
    for logger, handler in handlers:
        handler.setFormatter(logging.Formatter(_FORMAT))
        logger.addHandler(handler)
    level = ours.level
    ours.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        ours.setLevel(level)
        for logger, handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def _handlers(path: Path, *, verbose: bool) -> list[logging.Handler]:
    handlers = _file_handlers(path)
    if verbose or not handlers:
        stderr = logging.StreamHandler(sys.stderr)
        stderr.setLevel(logging.WARNING)
        handlers.append(stderr)
    return handlers


def _file_handlers(path: Path) -> list[logging.Handler]:
    """Return the handler of a log file; empty if it cannot be written."""
    try:
        if is_foreign(path.parent.parent) or is_foreign(path.parent):
            raise PermissionError(f"{path.parent} belongs to another user")
        make_private_folder(path.parent)
        return [_PrivateLog(path, maxBytes=2_000_000, backupCount=4, encoding="utf-8")]
    except OSError:
        return []


class _PrivateLog(RotatingFileHandler):
    """A log that only its user may read: it contains paths and questions."""

    def _open(self) -> TextIOWrapper:
        # In text mode, `open` returns a wrapper.
        return cast(
            TextIOWrapper,
            open(self.baseFilename, self.mode, encoding=self.encoding, opener=private_opener),
        )
