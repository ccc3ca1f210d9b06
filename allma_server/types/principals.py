"""Who asks for an operation, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


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
    """Everything that concerns all users: models, repair, export, evaluation, tokens."""

    OWNER = "owner"
    """Act as the owner of the engine."""


Access = Literal["read", "write", "admin"]
"""What a token may do; each includes the one before."""

_READ = frozenset({Right.SEARCH, Right.READ, Right.ASK, Right.CONVERSATIONS})
RIGHTS = {
    "read": _READ,
    "write": _READ | {Right.INDEX, Right.REMOVE},
    "admin": frozenset(Right) - {Right.OWNER},
}


@dataclass(frozen=True, slots=True)
class Principal:
    """The user or program on whose behalf a call runs.

    `user`: whose conversations they see; None sees all of them. `workspaces`: the folders they may
    use, and nothing else exists for them; None means every folder.
    """

    name: str
    rights: frozenset[Right] = frozenset()
    user: str | None = None
    workspaces: tuple[str, ...] | None = None

    @property
    def is_limited(self) -> bool:
        """Whether something in the index does not exist for them, or may not be added by them."""
        return self.user is not None


LOCAL = Principal("local", frozenset(Right))
"""The owner of the engine: whoever may enter the socket's folder or start the process."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What proves who a client is: a stored token, or the cookie of a browser.

    `seconds_left`: until it expires, from when it was looked up; None is never.
    """

    id: int
    kind: Literal["token", "browser"]
    principal: Principal
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a user, without its secret. `workspaces` is empty if all may be used."""

    name: str
    can: Access
    workspaces: list[str]
    created_at: str
    expires_at: str | None
    expired: bool = False


@dataclass(frozen=True, slots=True)
class NewToken(Token):
    """A token that was just made; `token` is its secret, which is not stored."""

    token: str = ""


@dataclass(frozen=True, slots=True)
class TokenList:
    """The tokens of all users."""

    tokens: list[Token]


@dataclass(frozen=True, slots=True)
class LoginCode:
    """A code that a browser exchanges once for a cookie, within `seconds`.

    `urls`: the addresses at which this engine is served over HTTP now. `file`: a private file that
    leads a browser there with the code, if it was asked for; it is removed after its use.
    """

    code: str
    seconds: int
    urls: list[str]
    file: str | None = None
