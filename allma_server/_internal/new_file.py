"""New files in workspaces, under names that clients send."""

import errno
import os
import re
from unicodedata import category

from allma_server._internal.workspace_files import open_folder
from allma_server.errors import DiskFull, InvalidArgument, NothingToIndex

_LONGEST = 200
"""Bytes of a name; file systems allow 255, and copies get longer names."""

_FORBIDDEN = re.compile(r'[/\\:*?"<>|]')
"""What separates folders, or names something else than a file on some system."""

_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(?:\..*)?", re.I)


def check_name(name: str) -> None:
    """Check that a name is that of an ordinary file on every system.

    Raises:
        InvalidArgument: it names a folder, a hidden file or a device, or cannot be shown as it is.
    """
    if (
        not name
        or len(name.encode(errors="surrogatepass")) > _LONGEST
        or name != name.strip()
        or name.startswith((".", "~"))
        or name.endswith((".", "~"))
        or _FORBIDDEN.search(name)
        or _DEVICES.fullmatch(name)
        # Control and formatting characters, such as those that reverse the direction of text.
        or any(category(sign) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for sign in name)
    ):
        raise InvalidArgument(
            f"{name!r} is not allowed as a file's name.",
            "Use letters, digits, spaces and . - _, without a folder.",
        )


def write_new_file(folder: str, name: str, content: bytes) -> str:
    """Write a file that does not exist yet; return its path. No link in the path is followed.

    Raises:
        InvalidArgument: the name is in use, or the folder cannot be written to.
        DiskFull: there is no space left.
    """
    path = os.path.join(folder, name)
    try:
        with open_folder(folder) as opened:
            opened.create_file(name, content)
    except FileExistsError as exc:
        raise InvalidArgument(f"{path} exists; it was not replaced.", "Rename the file.") from exc
    except NothingToIndex as exc:
        raise InvalidArgument(f"{folder} cannot be written to: {exc.message}") from exc
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"There is no space left for {path}.") from exc
        raise InvalidArgument(f"{path} cannot be written: {exc.strerror}.") from exc
    return path
