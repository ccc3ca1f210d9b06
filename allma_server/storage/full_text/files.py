"""The files of a full-text index: what Tantivy writes about them, and their checksums."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

_META = "meta.json"
_FOOTER = struct.Struct("<II")
_FOOTER_MARK = 1337
_READ_BYTES = 1 << 20


def read_meta(folder: Path) -> Any:
    """Return what Tantivy says of the index as of its last commit."""
    return json.loads((folder / _META).read_bytes())


def check_files(folder: Path) -> None:
    """Compare the files of the index with the checksums at their ends.

    Raises:
        ValueError: one is damaged. OSError: one cannot be read.
    """
    names = [segment["segment_id"].replace("-", "") for segment in read_meta(folder)["segments"]]
    for file in sorted(folder.iterdir()):
        if file.stem.split(".")[0] in names:
            _check_file(file)


def _check_file(path: Path) -> None:
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(0, size - _FOOTER.size))
        length, mark = _FOOTER.unpack(file.read(_FOOTER.size).rjust(_FOOTER.size, b"\0"))
        body = size - _FOOTER.size - length
        if mark != _FOOTER_MARK or body < 0:
            raise ValueError(f"{path.name} is cut off")
        file.seek(body)
        expected = json.loads(file.read(length))["crc"]
        file.seek(0)
        checksum, left = 0, body
        while left > 0 and (block := file.read(min(left, _READ_BYTES))):
            checksum = zlib.crc32(block, checksum)
            left -= len(block)
    if checksum != expected:
        raise ValueError(f"{path.name} is damaged")
