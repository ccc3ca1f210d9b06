"""Where a secret stands in a text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """`text[start:end]` is a secret of a kind."""

    start: int
    end: int
    kind: str
