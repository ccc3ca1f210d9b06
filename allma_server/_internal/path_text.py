"""Show file names that are not UTF-8 or could mislead a reader.

Python represents bytes that are not UTF-8 as lone surrogates, which JSON, editors and terminals
refuse. They are shown as in a URI, `caf%E9.txt`, and understood when they come back. Where people
or models read a name, line ends and characters that change the writing direction are shown so too.
"""

import os
import re
import sys
from urllib.parse import unquote_to_bytes, urlsplit

_ODD_BYTE = re.compile("[\udc80-\udcff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MISLEADING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line ends, and Unicode's characters that set the writing direction."""

_SHOWN_BYTES = re.compile("(?:%[89A-Fa-f][0-9A-Fa-f])+")
_READABLE_BYTES = re.compile("(?:%(?:[189A-Fa-f][0-9A-Fa-f]|0[1-9A-Fa-f]|7[Ff]))+")


def shown(text: str) -> str:
    """Return a path, or text with paths in it, in a form that every client accepts."""
    if text.isascii():
        return text
    text = _ODD_BYTE.sub(lambda odd: f"%{ord(odd[0]) - 0xDC00:02X}", text)
    return _SURROGATE.sub("\ufffd", text)


def readable(path: str) -> str:
    """Return a path on one line that cannot look like another path to a person or a model."""
    return _MISLEADING.sub(
        lambda sign: "".join(f"%{byte:02X}" for byte in sign[0].encode()), shown(path)
    )


def unescaped(path: str) -> str:
    """Return the path that `shown` shows as `path`."""
    return _decoded(path, _SHOWN_BYTES)


def _decoded(path: str, encoded: re.Pattern[str]) -> str:
    if "%" not in path:
        return path
    return encoded.sub(
        lambda run: bytes.fromhex(run[0].replace("%", "")).decode("utf-8", "surrogateescape"), path
    )


def actual(path: str) -> str:
    """Return the path on the disk that `readable` shows as `path`; an exact match comes first."""
    return path if "%" not in path or os.path.lexists(path) else _decoded(path, _READABLE_BYTES)


def path_of_uri(uri: str) -> str | None:
    """Return the path of a `file:` URI without its fragment; None for any other text."""
    parts = urlsplit(uri) if uri[:5].lower() == "file:" else None
    if parts is None:
        return None
    if sys.platform == "win32":
        from urllib.request import url2pathname  # imported late: it imports all of urllib

        return url2pathname(parts.path)
    return os.fsdecode(unquote_to_bytes(parts.path))
