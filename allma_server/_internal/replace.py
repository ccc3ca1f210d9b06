"""A file that gets new contents in one step: a reader sees the old ones or the new ones."""

import contextlib
import os
import tempfile
from pathlib import Path

from allma_server._internal.private import make_private_folder


def replace_file(path: Path, data: bytes) -> None:
    """Puts `data` in place of what the file holds; its permissions stay, and so do links to it.

    A new file, and the folders that are missing above it, are their user's alone.

    Raises:
        OSError: the file or its folder cannot be written; it is as it was.
    """
    path = path.resolve()  # a link into a folder of dotfiles stays one
    make_private_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".new")
    try:
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else 0o600)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
