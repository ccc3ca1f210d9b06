"""Keys of model servers that ask for one: from the environment, else from the system's key ring.

A key is never part of the settings: nothing that shows, logs or exports these can show it. The
key ring is asked only for a key that `allma config set-key` stored, or when a server demands one:
a locked key ring asks its user for a password, and most servers want no key. It is asked in a
thread of its own and for a limited time, as it may hang for good.
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
PROVIDERS = ("ollama", "openai")

LOOK_UP_SECONDS = 3.0
STORE_SECONDS = 60.0
"""Long enough for a person to unlock the key ring."""
AGAIN_SECONDS = 60.0
"""After the key ring did not answer in time, it is left alone for so long."""

_T = TypeVar("_T")


class ApiKey:
    """The key for one model server, looked up when it is needed."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self._value: str | None = None
        self._stored: int | None = None
        self._not_before = 0.0

    def __repr__(self) -> str:
        return f"ApiKey({self.provider!r})"

    @property
    def value(self) -> str | None:
        """The key as it is known now."""
        return key_in_environment(self.provider) or self._value

    async def get(self) -> str | None:
        """The key to send without being asked for one."""
        if (found := key_in_environment(self.provider)) is not None:
            return found
        stored = await asyncio.to_thread(_stored_at, self.provider)
        if stored != self._stored and await self._look_up():
            self._stored = stored
        return self._value

    async def renewed(self) -> str | None:
        """Another key than the one a server has just refused, if there is one."""
        if key_in_environment(self.provider) is not None:
            return None
        former = self._value
        await self._look_up()
        return self._value if self._value != former else None

    async def _look_up(self) -> bool:
        """Asks the key ring; whether it answered."""
        if time.monotonic() < self._not_before:
            return False
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                self._value = await _in_thread(lambda: _read(self.provider))
        except TimeoutError:
            self._not_before = time.monotonic() + AGAIN_SECONDS
            return False
        return True


async def store_key(provider: str, key: str) -> None:
    """Puts a key into the system's key ring.

    Raises:
        InvalidArgument: no such provider, or this cannot be a key.
        Unsupported: this system has no key ring that can be used.
        StorageError: the key ring refused.
    """
    check_provider(provider)
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidArgument(
            "This cannot be an API key.", "It is one line of letters, digits and signs."
        )
    await _with_key_ring(provider, lambda: _write(provider, key))
    await asyncio.to_thread(_note, provider, stored=True)


async def remove_key(provider: str) -> None:
    """Takes the key out of the system's key ring; without one nothing happens.

    Raises:
        InvalidArgument, Unsupported, StorageError: as `store_key`.
    """
    check_provider(provider)
    await _with_key_ring(provider, lambda: _delete(provider))
    await asyncio.to_thread(_note, provider, stored=False)


def check_provider(provider: str) -> None:
    """Raises InvalidArgument unless `provider` is one that can have a key."""
    if provider not in PROVIDERS:
        raise InvalidArgument(
            f"There is no provider {provider!r} that takes a key.",
            f"Write {' or '.join(PROVIDERS)}.",
        )


def how_to_set(provider: str) -> str:
    """The next step for who has a key."""
    return (
        f"Store it with `allma config set-key {provider}`, or set {key_variable(provider)} in the "
        "environment and run `allma daemon restart`."
    )


async def _with_key_ring(provider: str, change: Callable[[], str | None]) -> None:
    try:
        async with asyncio.timeout(STORE_SECONDS):
            trouble = await _in_thread(change)
    except TimeoutError:
        trouble = f"it did not answer within {STORE_SECONDS:g} seconds"
    if trouble == "":
        raise Unsupported(
            "This system has no key ring that Allma can use.",
            f"Set {key_variable(provider)} in the environment instead.",
        )
    if trouble:
        raise StorageError(
            f"The system's key ring refused: {trouble}.",
            f"Set {key_variable(provider)} in the environment instead.",
        )


# --- the key ring, in a thread --------------------------------------------------------------------
# Its back ends come from many hands and raise what they like: whatever it is, there is no key.


def _read(provider: str) -> str | None:
    import keyring

    try:
        return keyring.get_password(SERVICE, provider) or None
    except Exception:
        return None


def _write(provider: str, key: str) -> str | None:
    """What went wrong; an empty string where there is no key ring."""
    import keyring

    try:
        keyring.set_password(SERVICE, provider, key)
        # Some back ends take a key and forget it.
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
    """The result of `work`, in a thread that the process does not wait for when it ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def give(set_it: Callable[[], None]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if done.done() else set_it())

    def run() -> None:
        try:
            result = work()
        except BaseException as exc:
            failed = exc
            give(lambda: done.set_exception(failed))
        else:
            give(lambda: done.set_result(result))

    threading.Thread(target=run, name="key ring", daemon=True).start()
    return await done


# --- which keys were stored -----------------------------------------------------------------------


def _notes(provider: str) -> Path:
    """An empty file that says that the key ring has a key for this provider."""
    return config_file().with_name(f"{provider}.key-in-key-ring")


def _stored_at(provider: str) -> int | None:
    try:
        return _notes(provider).stat().st_mtime_ns
    except OSError:
        return None


def _note(provider: str, *, stored: bool) -> None:
    path = _notes(provider)
    try:
        path.unlink(missing_ok=True)
        if stored:
            make_private_folder(path.parent)
            make_private_file(path)
    except OSError as exc:
        raise StorageError(f"{path} cannot be written: {exc.strerror}.") from exc
