"""Who asks for an operation, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum


class Right(StrEnum):
    """What a principal may do. Each operation declares the one right it needs."""

    SEARCH = "search"
    READ = "read"
    """Read documents, their list, and the state of the index."""

    ASK = "ask"
    CONVERSATIONS = "conversations"
    """List, show, rename, export and delete conversations."""

    INDEX = "index"
    """Add folders, update them, and stop such a job."""

    REMOVE = "remove"
    """Remove documents from the index."""

    ADMIN = "admin"
    """Everything that concerns all users: models, repair, export, evaluation."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The user or program on whose behalf a call runs."""

    name: str
    rights: frozenset[Right] = frozenset()


LOCAL = Principal("local", frozenset(Right))
"""The owner of the engine: whoever may enter the socket's folder or start the process."""
