"""Tokens of users, and the codes and cookies of browsers. Only their hashes are stored."""

import hashlib
import secrets
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Literal

from allma_server.errors import InvalidArgument, NotFound
from allma_server.storage.sqlite.connection import Transaction
from allma_server.storage.sqlite.database import Repository
from allma_server.storage.sqlite.rows import as_json, shown_path, stored_path, texts
from allma_server.types import LOCAL, RIGHTS, Access, Credential, Principal, Token, now

PREFIX = "allma_"
"""By which people and secret scanners recognize a token."""

_Kind = Literal["token", "browser", "code"]

_VALID = "(expires_at IS NULL OR expires_at > ?)"


class Tokens(Repository):
    """Add, look up and delete credentials."""

    async def add_token(
        self, name: str, can: Access, workspaces: list[str], seconds: float | None
    ) -> tuple[Token, str]:
        """Store a token of a user, valid for `seconds`; return it with its secret.

        Raises:
            InvalidArgument: the user has a token.
        """
        secret = f"{PREFIX}{secrets.token_urlsafe(32)}"
        try:
            async with self._db.transaction() as tx:
                await _add(tx, "token", secret, name, can, workspaces, seconds)
        except sqlite3.IntegrityError as exc:
            raise InvalidArgument(
                f"{name} has a token.", f"Revoke it first: `allma tokens revoke {name}`."
            ) from exc
        return next(token for token in await self.tokens() if token.name == name), secret

    async def tokens(self) -> list[Token]:
        """Return all tokens, by name."""
        rows = await self._db.rows("SELECT * FROM credentials WHERE kind = 'token' ORDER BY name")
        return [_token(row) for row in rows]

    async def revoke_token(self, name: str) -> list[int]:
        """Delete the token of a user and their browsers' cookies; return the ids of all.

        Raises:
            NotFound: the user has no token.
        """
        async with self._db.transaction() as tx:
            rows = await tx.rows("SELECT id, kind FROM credentials WHERE name = ?", (name,))
            if not any(row["kind"] == "token" for row in rows):
                raise NotFound(f"{name} has no token.", "`allma tokens list` shows all tokens.")
            await tx.execute("DELETE FROM credentials WHERE name = ?", (name,))
        return [row["id"] for row in rows]

    async def add_code(self, seconds: float) -> str:
        """Store a code that a browser of the owner exchanges once; return it."""
        code = secrets.token_urlsafe(32)
        async with self._db.transaction() as tx:
            await _add(tx, "code", code, None, "admin", [], seconds)
        return code

    async def is_code(self, code: str) -> bool:
        """Return whether a code has neither been used nor expired."""
        query = f"SELECT 1 FROM credentials WHERE hash = ? AND kind = 'code' AND {_VALID}"
        return await self._db.row(query, (_hash(code), now())) is not None

    async def begin_visit(self, secret: str, seconds: float) -> str | None:
        """Exchange a code, or the token of a user, for the secret of a browser's cookie.

        A code is deleted, and a cookie ends no later than the token. None if the secret is invalid.
        """
        cookie = secrets.token_urlsafe(32)
        async with self._db.transaction() as tx:
            row = await tx.row(
                f"SELECT * FROM credentials WHERE hash = ? AND kind != 'browser' AND {_VALID}",
                (_hash(secret), now()),
            )
            if row is None:
                return None
            left = _seconds_left(row["expires_at"]) if row["kind"] == "token" else None
            seconds = seconds if left is None else min(seconds, left)
            if row["kind"] == "code":
                await tx.execute("DELETE FROM credentials WHERE id = ?", (row["id"],))
            folders = texts(row["workspaces"])
            await _add(tx, "browser", cookie, row["name"], row["can"], folders, seconds)
        return cookie

    async def end_visit(self, credential: Credential) -> None:
        """Delete the cookie of a browser."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "DELETE FROM credentials WHERE id = ? AND kind = 'browser'", (credential.id,)
            )

    async def credential(self, kind: Literal["token", "browser"], secret: str) -> Credential | None:
        """Return whom a secret belongs to; None if it is unknown, revoked or expired."""
        row = await self._db.row(
            f"SELECT * FROM credentials WHERE hash = ? AND kind = ? AND {_VALID}",
            (_hash(secret), kind, now()),
        )
        if row is None:
            return None
        return Credential(row["id"], kind, _principal(row), _seconds_left(row["expires_at"]))


async def _add(
    tx: Transaction,
    kind: _Kind,
    secret: str,
    name: str | None,
    can: str,
    workspaces: list[str],
    seconds: float | None,
) -> None:
    await tx.execute("DELETE FROM credentials WHERE kind != 'token' AND expires_at <= ?", (now(),))
    await tx.execute(
        "INSERT INTO credentials (kind, hash, name, can, workspaces, created_at, expires_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            kind,
            _hash(secret),
            name,
            can,
            as_json(stored_path(path) for path in workspaces),
            now(),
            None if seconds is None else _after(seconds),
        ),
    )


def _hash(secret: str) -> bytes:
    """Return the hash of a random secret, which needs no salt: it has 256 bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _after(seconds: float) -> str:
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    return until.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds_left(expires_at: str | None) -> float | None:
    if expires_at is None:
        return None
    return (datetime.fromisoformat(expires_at) - datetime.now(UTC)).total_seconds()


def _folders(row: sqlite3.Row) -> list[str]:
    return [shown_path(path) for path in texts(row["workspaces"])]


def _principal(row: sqlite3.Row) -> Principal:
    name, folders = row["name"], _folders(row)
    if name is None:
        return LOCAL
    return Principal(name, RIGHTS[row["can"]], user=name, workspaces=tuple(folders) or None)


def _token(row: sqlite3.Row) -> Token:
    expires_at = row["expires_at"]
    return Token(
        name=row["name"],
        can=row["can"],
        workspaces=_folders(row),
        created_at=row["created_at"],
        expires_at=expires_at,
        expired=expires_at is not None and expires_at <= now(),
    )
