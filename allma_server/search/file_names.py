"""A file's name as the whole query: `config.py`, `docs/setup.md`, `fusion`.

Who types a name wants that file, and the text of a file seldom says its own name. So its beginning
is fetched by the name, however low its words rank.
"""

import os
import re
from functools import lru_cache
from pathlib import PurePath

from allma_server.search.definitions import sought_name
from allma_server.types import Passage

_NAME = re.compile(r"[^\s\"'*?<>|:]*\w[^\s\"'*?<>|:]*")
_MARKS = "`'\" ?!\uff1f"

STEM_PLACE = 0.9
"""A name without its suffix may also be a word, or what code defines."""


@lru_cache(maxsize=64)
def sought_file(query: str) -> str:
    """Return the name or the end of a path that the query consists of; empty if it is no name."""
    name = (sought_name(query) or query).strip(_MARKS).replace("\\", "/").removeprefix("./")
    return name.strip("/") if _NAME.fullmatch(name) else ""


def named_files(query: str) -> tuple[str, ...]:
    """Return the file names, with or without suffix, that the query may mean."""
    name = sought_file(query).rpartition("/")[2]
    return (name, name.lower(), name.capitalize(), name.upper()) if name else ()


def file_place(query: str, passage: Passage) -> float:
    """Return how much a passage is the file that the query names, 0 to 1."""
    name = sought_file(query).casefold()
    if not name:
        return 0.0
    path = f"/{passage.path.replace(os.sep, '/').casefold()}"
    suffix = PurePath(passage.path).suffix.casefold()
    if path.endswith(f"/{name}"):
        place = 1.0
    elif suffix and path.endswith(f"/{name}{suffix}"):
        place = STEM_PLACE
    else:
        return 0.0
    return place if passage.chunk_index == 0 else place / 4
