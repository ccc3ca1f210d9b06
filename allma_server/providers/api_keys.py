"""API keys of servers: from the environment, else from the system's key ring.

A key is never part of the settings, so nothing that shows, logs or exports them can reveal it. The
key ring is only read if `allma config set-key` stored a key, or a server demands one, because a
locked key ring asks its user for a password and most servers need no key. It is read in a separate
thread with a timeout, because it may hang forever.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from allma_server._internal.private import make_private_file, make_private_folder
from allma_server.config import config_file, key_in_environment, key_variable
from allma_server.errors import InvalidArgument, StorageError, Unsupported

SERVICE = "allma"
PROVIDERS = ("ollama", "openai", "vector_store")

READ_SECONDS = 3.0
STORE_SECONDS = 60.0
"""Long enough for a person to unlock the key ring."""
RETRY_SECONDS = 60.0
"""How long the key ring is not read again after a timeout."""

_T = TypeVar("_T")


class ApiKey:
    """The key of one server, read when it is needed."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self._value: str | None = None
        self._stored: int | None = None
        self._not_before = 0.0

    def __repr__(self) -> str:
        return f"ApiKey({self.provider!r})"

    @property
    def value(self) -> str | None:
        """The key as far as it is known."""
        return key_in_environment(self.provider) or self._value

    async def get(self) -> str | None:
        """Return the key to send with the first request, if any."""
        if (found := key_in_environment(self.provider)) is not None:
            return found
        stored = await asyncio.to_thread(_marker_mtime, self.provider)
        if stored != self._stored and await self._read_key_ring():
            self._stored = stored
        return self._value

    async def refresh(self) -> str | None:
        """Return a key other than the one that a server has just refused, if there is one."""
        if key_in_environment(self.provider) is not None:
            return None
        former = self._value
        await self._read_key_ring()
        return self._value if self._value != former else None

    async def _read_key_ring(self) -> bool:
        """Read the key ring; return whether it answered."""
        if time.monotonic() < self._not_before:
            return False
        try:
            async with asyncio.timeout(READ_SECONDS):
                self._value = await _in_thread(lambda: _read(self.provider))
        except TimeoutError:
            self._not_before = time.monotonic() + RETRY_SECONDS
            return False
        return True


async def store_key(provider: str, key: str) -> None:
    """Store a key in the system's key ring.

    Raises:
        InvalidArgument: there is no such provider, or the key is malformed.
        Unsupported: this system has no usable key ring.
        StorageError: the key ring refused.
    """
    check_provider(provider)
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidArgument(
            "This cannot be an API key.", "A key is one line of letters, digits and symbols."
        )
    await _with_key_ring(provider, lambda: _write(provider, key))
    await asyncio.to_thread(_write_marker, provider, stored=True)


async def remove_key(provider: str) -> None:
    """Remove the key from the system's key ring, if it has one.

    Raises:
        InvalidArgument, Unsupported, StorageError: as `store_key`.
    """
    check_provider(provider)
    await _with_key_ring(provider, lambda: _delete(provider))
    await asyncio.to_thread(_write_marker, provider, stored=False)


def check_provider(provider: str) -> None:
    """Raise InvalidArgument unless `provider` takes a key."""
    if provider not in PROVIDERS:
        raise InvalidArgument(
            f"There is no provider {provider!r} that takes an API key.",
            f"Write {', '.join(PROVIDERS[:-1])} or {PROVIDERS[-1]}.",
        )


def how_to_set(provider: str) -> str:
    """Return the hint that says how to set a key."""
    return (
        f"Store it with `allma config set-key {provider}`, or set {key_variable(provider)} in the "
        "environment and run `allma daemon restart`."
    )


async def _with_key_ring(provider: str, change: Callable[[], str | None]) -> None:
    try:
        async with asyncio.timeout(STORE_SECONDS):
            problem = await _in_thread(change)
    except TimeoutError:
        problem = f"it did not answer within {STORE_SECONDS:g} seconds"
    if problem == "":
        raise Unsupported(
            "This system has no key ring that Allma can use.",
            f"Set {key_variable(provider)} in the environment instead.",
        )
    if problem:
        raise StorageError(
            f"The system's key ring refused: {problem}.",
            f"Set {key_variable(provider)} in the environment instead.",
        )


# --- the key ring, called in a thread -------------------------------------------------------------
# keyring is imported late, as it takes a tenth of a second. Its back ends raise all kinds of
# exceptions; each of them means that there is no key.


def _read(provider: str) -> str | None:
    import keyring

    try:
        return keyring.get_password(SERVICE, provider) or None
    except Exception:
        return None


def _write(provider: str, key: str) -> str | None:
    """Return what went wrong, if anything; an empty string means that there is no key ring."""
    import keyring

    try:
        keyring.set_password(SERVICE, provider, key)
        # Some back ends accept a key without storing it.
        return None if keyring.get_password(SERVICE, provider) == key else ""
    except Exception as exc:
        return _reason(exc)


def _delete(provider: str) -> str | None:
    import keyring

    try:
        if keyring.get_password(SERVICE, provider) is not None:
            keyring.delete_password(SERVICE, provider)
    except Exception as exc:
        return _reason(exc)
    return None


def _reason(exc: Exception) -> str:
    from keyring.errors import NoKeyringError

    if isinstance(exc, NoKeyringError):
        return ""
    return " ".join(str(exc).split()).rstrip(".") or type(exc).__name__


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Return the result of `work`, run in a daemon thread, for which the process does not wait."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def deliver(set_it: Callable[[], None]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if done.done() else set_it())

    def run() -> None:
        try:
            result = work()
        except BaseException as exc:
            failed = exc
            deliver(lambda: done.set_exception(failed))
        else:
            deliver(lambda: done.set_result(result))

    threading.Thread(target=run, name="key ring", daemon=True).start()
    return await done


# --- which keys are stored ------------------------------------------------------------------------


def _marker(provider: str) -> Path:
    """Return the path of the empty file that marks a key as stored in the key ring."""
    return config_file().with_name(f"{provider}.key-in-key-ring")


def _marker_mtime(provider: str) -> int | None:
    try:
        return _marker(provider).stat().st_mtime_ns
    except OSError:
        return None


def _write_marker(provider: str, *, stored: bool) -> None:
    path = _marker(provider)
    try:
        path.unlink(missing_ok=True)
        if stored:
            make_private_folder(path.parent)
            make_private_file(path)
    except OSError as exc:
        raise StorageError(f"{path} cannot be written: {exc.strerror}.") from exc
