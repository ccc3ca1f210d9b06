"""File names that are not UTF-8, or mislead who reads them, in texts that must not.

Python has an odd name's bytes as lone surrogates, which no JSON, no editor and no terminal takes.
They are shown as in a URI, `caf%E9.txt`, and a name that comes back so is understood. Where people
or models read a name, a line end or a sign that changes the direction of writing is shown so too.
"""

import os
import re
import sys
from urllib.parse import unquote_to_bytes, urlsplit

_ODD_BYTE = re.compile("[\udc80-\udcff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MISLEADING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Controls, line ends, and all that Unicode has to set the direction of writing."""

_SHOWN_BYTES = re.compile("(?:%[89A-Fa-f][0-9A-Fa-f])+")
_READABLE_BYTES = re.compile("(?:%(?:[189A-Fa-f][0-9A-Fa-f]|0[1-9A-Fa-f]|7[Ff]))+")


def shown(text: str) -> str:
    """A path, or a text with paths in it, as every client can be given it."""
    if text.isascii():
        return text
    text = _ODD_BYTE.sub(lambda odd: f"%{ord(odd[0]) - 0xDC00:02X}", text)
    return _SURROGATE.sub("\ufffd", text)


def readable(path: str) -> str:
    """A path as one line that cannot pose as another, for a person or a model."""
    return _MISLEADING.sub(
        lambda sign: "".join(f"%{byte:02X}" for byte in sign[0].encode()), shown(path)
    )


def meant(path: str) -> str:
    """The path that is shown as `path`, where some of its bytes are."""
    return _decoded(path, _SHOWN_BYTES)


def _decoded(path: str, encoded: re.Pattern[str]) -> str:
    if "%" not in path:
        return path
    return encoded.sub(
        lambda run: bytes.fromhex(run[0].replace("%", "")).decode("utf-8", "surrogateescape"), path
    )


def actual(path: str) -> str:
    """What stands on the disk and is shown as `path`; a file of this very name comes first."""
    return path if "%" not in path or os.path.lexists(path) else _decoded(path, _READABLE_BYTES)


def path_of_uri(uri: str) -> str | None:
    """The path of a `file:` URI, without what comes behind a `#`; None for any other text."""
    parts = urlsplit(uri) if uri.startswith("file:") else None
    if parts is None:
        return None
    if sys.platform == "win32":
        from urllib.request import url2pathname  # which brings all of HTTP along

        return url2pathname(parts.path)
    return os.fsdecode(unquote_to_bytes(parts.path))
