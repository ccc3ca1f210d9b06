"""Timestamps."""

from datetime import UTC, datetime


def now() -> str:
    """Return the current time in the format of all stored times."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
