"""Validate ids and texts of clients before they reach the database."""

import re


def row_id(text: str) -> int | None:
    """Return the id of a row; None if the text is not a number or too large."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def chunk_id(text: str) -> int | None:
    """Return the id in the name of a chunk, `12` or `chunk 12`; None for another name."""
    found = re.fullmatch(r"(?:chunk\s+#?)?([0-9]{1,18})", text.strip(), re.IGNORECASE)
    return int(found[1]) if found else None


def is_text(value: str) -> bool:
    """Return whether a string can be stored: no NUL, and no half of a surrogate pair."""
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False
