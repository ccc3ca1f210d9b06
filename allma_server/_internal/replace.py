"""Replace a file atomically: a reader sees the old content or the new one."""

import contextlib
import os
import tempfile
from pathlib import Path

from allma_server._internal.private import make_private_folder


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file's content by `data`; keep its permissions and links to it.

    Only the user may read a new file and its new parent folders.

    Raises:
        OSError: the file or its folder cannot be written; the file is unchanged.
    """
    path = path.resolve()  # a link, as into a folder of dotfiles, stays a link
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
