"""What clients name things by, as far as a database can have it."""

import re


def row_id(text: str) -> int | None:
    """The number of a row; None for what is none, such as a word or a number that is too large."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def is_text(value: str) -> bool:
    """Whether a string is text: without NUL, and without half a surrogate pair."""
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False
