"""File names that are not UTF-8, in texts that must be.

Python has such a name's odd bytes as lone surrogates, which no JSON, no editor and no terminal
takes. They are shown as in a URI, `caf%E9.txt`, and a name that comes back so is understood.
"""

import os
import re
import sys
from urllib.parse import unquote_to_bytes, urlsplit

_ODD_BYTE = re.compile("[\udc80-\udcff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHOWN_BYTES = re.compile("(?:%[89A-Fa-f][0-9A-Fa-f])+")


def shown(text: str) -> str:
    """A path, or a text with paths in it, as every client can be given it."""
    if text.isascii():
        return text
    text = _ODD_BYTE.sub(lambda odd: f"%{ord(odd[0]) - 0xDC00:02X}", text)
    return _SURROGATE.sub("\ufffd", text)


def meant(path: str) -> str:
    """The path that is shown as `path`, where some of its bytes are."""
    if "%" not in path:
        return path
    return _SHOWN_BYTES.sub(
        lambda run: bytes.fromhex(run[0].replace("%", "")).decode("utf-8", "surrogateescape"), path
    )


def actual(path: str) -> str:
    """What stands on the disk and is shown as `path`; a file of this very name comes first."""
    return path if "%" not in path or os.path.lexists(path) else meant(path)


def path_of_uri(uri: str) -> str | None:
    """The path of a `file:` URI, without what comes behind a `#`; None for any other text."""
    parts = urlsplit(uri) if uri.startswith("file:") else None
    if parts is None:
        return None
    if sys.platform == "win32":
        from urllib.request import url2pathname  # which brings all of HTTP along

        return url2pathname(parts.path)
    return os.fsdecode(unquote_to_bytes(parts.path))
