"""Moments."""

from datetime import UTC, datetime


def now() -> str:
    """The present moment, in the form all stored times have."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
