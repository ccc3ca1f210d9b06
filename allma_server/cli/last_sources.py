"""The sources of the last search or answer in a shell, which `allma open N` opens."""

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from allma_server._internal.private import private_opener
from allma_server.errors import InvalidArgument

FILE = "last_sources.json"
_LARGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Source:
    """A place in a file, with the number under which it was shown."""

    number: int
    path: str
    line: int
    page: int | None = None


def remember(data: Path, sources: Sequence[Source]) -> None:
    """Keep the sources for the next command; not if the data directory cannot be written."""
    file = data / FILE
    part = file.with_name(f"{FILE}.{os.getpid()}.part")
    with contextlib.suppress(OSError):
        try:
            with open(part, "x", encoding="utf-8", opener=private_opener) as written:
                json.dump([asdict(source) for source in sources], written)
            os.replace(part, file)
        finally:
            part.unlink(missing_ok=True)


def recall(data: Path, number: int) -> Source:
    """Return a source by its number.

    Raises:
        InvalidArgument: there is none with this number.
    """
    known = {source.number: source for source in _recalled(data)}
    return find_source(list(known.values()), number)


def find_source(sources: Sequence[Source], number: int) -> Source:
    """Return the source with a number.

    Raises:
        InvalidArgument: there is none.
    """
    for source in sources:
        if source.number == number:
            return source
    numbers = ", ".join(str(source.number) for source in sources)
    raise InvalidArgument(
        f"There is no source {number}.",
        f"The last ones are {numbers}." if numbers else "Search or ask first.",
    )


def _recalled(data: Path) -> list[Source]:
    try:
        with open(data / FILE, "rb") as file:
            found: list[dict[str, Any]] = json.loads(file.read(_LARGEST))
        return [Source(**each) for each in found]
    except (OSError, ValueError, TypeError):
        return []
