"""API keys: their sources, the servers that receive them, and that none is shown."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend

from allma_server.config import Config, load_config, load_with_sources
from allma_server.errors import (
    ApiKeyRefused,
    InvalidArgument,
    ProviderError,
    StorageError,
    UnknownSetting,
    Unsupported,
)
from allma_server.locations import variables_for_clients
from allma_server.providers import api_keys
from allma_server.providers.api_keys import SERVICE, ApiKey, remove_key, store_key
from allma_server.providers.chat.ollama import open_ollama
from allma_server.providers.chat.openai import open_openai
from allma_server.providers.embedding import open_embedder
from allma_server.types import ChatMessage
from tests.ollama.wire import Exchange, Script, Wire, serving

ROOT = Path(__file__).parents[3]
KEY = "sk-Kernow-1871"


class Drawer(KeyringBackend):
    """A key ring of one process."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held: dict[tuple[str, str], str] = {}
        self.read = 0
        self.reached = threading.Event()
        self.hangs: threading.Event | None = None
        self.trouble: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        self.read += 1
        self.reached.set()
        if self.hangs is not None:
            self.hangs.wait()
        if self.trouble is not None:
            raise self.trouble
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.held[service, username]


@pytest.fixture
def drawer() -> Iterator[Drawer]:
    former = keyring.get_keyring()
    drawer = Drawer()
    keyring.set_keyring(drawer)
    yield drawer
    if drawer.hangs is not None:
        drawer.hangs.set()
    keyring.set_keyring(former)


def guarded(key: str = KEY) -> Script:
    """A server that says nothing without its key, and repeats a wrong one."""

    async def script(exchange: Exchange) -> None:
        given = exchange.headers.get("authorization", "")
        if given != f"Bearer {key}":
            await exchange.answer({"error": {"message": f"Incorrect key: {given}."}}, 401)
        elif exchange.path == "/api/show":
            await exchange.answer({"capabilities": ["completion", "embedding"]})
        elif exchange.path == "/api/chat":
            await exchange.begin()
            await exchange.lines({"message": {"content": "Hello"}, "done": True})
        elif exchange.path == "/chat/completions":
            await exchange.begin("text/event-stream")
            choice = '{"delta": {"content": "Hello"}, "finish_reason": "stop"}'
            await exchange.send(f'data: {{"choices": [{choice}]}}\n\n')
        elif exchange.path == "/api/embed":
            await exchange.answer({"embeddings": [[1.0, 2.0]]})
        elif exchange.path == "/embeddings":
            await exchange.answer({"data": [{"index": 0, "embedding": [1.0, 2.0]}]})
        else:
            await exchange.answer({"version": "1", "models": [], "data": []})

    return script


def config(wire: Wire) -> Config:
    return Config(ollama_url=wire.url, openai_url=wire.url)


async def used(wire: Wire, provider: str) -> None:
    """All that is asked of a provider."""
    opened: Any = open_ollama if provider == "ollama" else open_openai
    async with opened(config(wire)) as chat:
        await chat.version()
        await chat.list()
        events = [e async for e in chat.stream("m", [ChatMessage("user", "Hello?")])]
        assert events[0].text == "Hello"
    async with open_embedder(f"{provider}/m", config(wire)) as embedder:
        assert (await embedder.embed_query("Hello")).shape == (2,)


@pytest.mark.parametrize("provider", ["ollama", "openai"])
async def test_a_key_of_the_environment_is_sent_with_each_request(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"ALLMA_{provider.upper()}_API_KEY", f" {KEY}\n")
    async with serving(guarded()) as wire:
        await used(wire, provider)
    assert {e.headers["authorization"] for e in wire.seen} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("provider", ["ollama", "openai"])
async def test_a_stored_key_is_sent_with_each_request(provider: str, drawer: Drawer) -> None:
    await store_key(provider, f"{KEY}\n")
    assert drawer.held == {(SERVICE, provider): KEY}
    async with serving(guarded()) as wire:
        await used(wire, provider)
    assert {e.headers["authorization"] for e in wire.seen} == {f"Bearer {KEY}"}


async def test_a_key_of_the_keyring_is_sent_when_the_server_asks(
    drawer: Drawer,
) -> None:
    drawer.held[SERVICE, "ollama"] = KEY
    async with serving(guarded()) as wire, open_ollama(config(wire)) as chat:
        for _ in range(3):
            await chat.version()
    assert [e.headers.get("authorization") for e in wire.seen] == [None, *[f"Bearer {KEY}"] * 3]
    assert drawer.read == 1


async def test_the_keyring_is_not_opened_for_a_server_without_a_key(drawer: Drawer) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer({"version": "1"})

    async with serving(script) as wire, open_ollama(config(wire)) as chat:
        await chat.version()
    assert drawer.read == 0


async def test_a_changed_or_removed_key_takes_effect_at_once(
    drawer: Drawer,
) -> None:
    await store_key("ollama", "old")
    async with serving(guarded()) as wire, open_ollama(config(wire)) as chat:
        with pytest.raises(ApiKeyRefused, match="refused the API key"):
            await chat.version()
        await store_key("ollama", KEY)
        await chat.version()
        await remove_key("ollama")
        with pytest.raises(ApiKeyRefused, match="asks for an API key"):
            await chat.version()
    await remove_key("ollama")  # there is none: nothing happens


@pytest.mark.parametrize("provider", ["ollama", "openai"])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_server_without_its_key_says_how_to_set_it(
    provider: str, status: int, drawer: Drawer
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer({"error": "no."}, status)

    opened: Any = open_ollama if provider == "ollama" else open_openai
    async with serving(script) as wire, opened(config(wire)) as chat:
        with pytest.raises(ApiKeyRefused, match=f"asks for an API key \\({status}: no\\)") as why:
            await chat.list()
    assert f"`allma config set-key {provider}`" in (why.value.hint or "")
    assert f"ALLMA_{provider.upper()}_API_KEY" in (why.value.hint or "")


async def test_a_refused_key_is_not_shown_though_the_server_repeats_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALLMA_OLLAMA_API_KEY", KEY)
    async with serving(guarded("another")) as wire, open_ollama(config(wire)) as chat:
        with pytest.raises(ApiKeyRefused, match="refused the API key") as failed:
            await chat.version()
    assert KEY not in repr(failed.value) + str(failed.value)
    assert "Incorrect key: Bearer …" in failed.value.message


async def test_a_key_is_sent_to_no_other_server(
    monkeypatch: pytest.MonkeyPatch, drawer: Drawer
) -> None:
    monkeypatch.setenv("ALLMA_OLLAMA_API_KEY", KEY)

    async def elsewhere(exchange: Exchange) -> None:
        await exchange.answer({"version": "1"})

    async with serving(elsewhere) as other:

        async def script(exchange: Exchange) -> None:
            place = f"HTTP/1.1 307 Moved\r\nLocation: {other.url}/x?{KEY}\r\nContent-Length: 0"
            await exchange.send(f"{place}\r\n\r\n")

        async with serving(script) as wire, open_ollama(config(wire)) as chat:
            with pytest.raises(ProviderError, match=f"redirects to {other.url}/x;"):
                await chat.version()
            with pytest.raises(ProviderError, match="redirects"):
                async for _ in chat.pull("m"):
                    pass
    assert other.seen == []


def test_a_key_is_in_no_settings_and_no_client_s_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OLLAMA", "OPENAI", "VECTOR_STORE"):
        monkeypatch.setenv(f"ALLMA_{name}_API_KEY", KEY)
    settings, sources = load_with_sources()
    assert KEY not in repr(settings) + settings.model_dump_json() + repr(sources)
    assert KEY not in repr(variables_for_clients())
    with pytest.raises(UnknownSetting, match="not a setting") as failed:
        load_config({"ollama_api_key": KEY})
    assert "set-key" in (failed.value.hint or "") and KEY not in str(failed.value)


def test_a_key_is_not_in_the_repr_of_its_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_OLLAMA_API_KEY", KEY)
    holder = ApiKey("ollama")
    assert holder.value == KEY
    assert KEY not in repr(holder)


async def test_a_hanging_keyring_delays_no_request(
    monkeypatch: pytest.MonkeyPatch, drawer: Drawer
) -> None:
    monkeypatch.setattr(api_keys, "READ_SECONDS", 0.05)
    drawer.hangs = threading.Event()
    async with serving(guarded()) as wire, open_ollama(config(wire)) as chat:
        for _ in range(3):
            with pytest.raises(ApiKeyRefused, match="asks for an API key"):
                await chat.version()
    # After it did not answer once it is left alone.
    assert drawer.read == 1


async def test_storing_in_a_hanging_keyring_times_out(
    monkeypatch: pytest.MonkeyPatch, drawer: Drawer
) -> None:
    monkeypatch.setattr(api_keys, "STORE_SECONDS", 0.05)
    drawer.hangs = threading.Event()
    with pytest.raises(StorageError, match="did not answer within") as failed:
        await store_key("ollama", KEY)
    assert "ALLMA_OLLAMA_API_KEY" in (failed.value.hint or "")


async def test_a_failing_keyring_is_treated_as_absent(drawer: Drawer) -> None:
    drawer.trouble = RuntimeError("the bus is gone.")
    async with serving(guarded()) as wire, open_ollama(config(wire)) as chat:
        with pytest.raises(ApiKeyRefused, match="asks for an API key"):
            await chat.version()
    with pytest.raises(StorageError, match="refused: the bus is gone\\."):
        await store_key("ollama", KEY)


@pytest.mark.parametrize("back_end", ["fail", "null"])
async def test_without_a_keyring_the_variable_is_named(back_end: str) -> None:
    former = keyring.get_keyring()
    module = __import__(f"keyring.backends.{back_end}", fromlist=["Keyring"])
    keyring.set_keyring(module.Keyring())
    try:
        with pytest.raises(Unsupported, match="no key ring") as failed:
            await store_key("openai", KEY)
    finally:
        keyring.set_keyring(former)
    assert "ALLMA_OPENAI_API_KEY" in (failed.value.hint or "")


@pytest.mark.parametrize("bad", ["", " \n", "two words", "line\nbreak", "schlüssel", "a\x00b"])
async def test_an_invalid_key_is_not_stored(bad: str, drawer: Drawer) -> None:
    with pytest.raises(InvalidArgument, match="cannot be an API key") as failed:
        await store_key("ollama", bad)
    assert not bad.strip() or bad not in str(failed.value)
    assert drawer.held == {}


async def test_a_provider_without_a_key_is_reported(drawer: Drawer) -> None:
    with pytest.raises(InvalidArgument, match="no provider 'claude'") as failed:
        await store_key("claude", KEY)
    assert "ollama, openai or vector_store" in (failed.value.hint or "")


async def test_looking_up_a_key_does_not_block_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, drawer: Drawer
) -> None:
    drawer.held[SERVICE, "ollama"] = KEY
    drawer.hangs = threading.Event()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ApiKey("ollama").refresh())
        await asyncio.to_thread(drawer.reached.wait)  # only a running loop gets past this
        drawer.hangs.set()
    assert waiting.result() == KEY


# --- the system's own key ring --------------------------------------------------------------------

PROGRAMS = ("dbus-run-session", "gnome-keyring-daemon")
SESSION = r"""
printf secret | gnome-keyring-daemon --unlock --daemonize --components=secrets
"$PYTHON" -m tests.unit.providers.key_ring_session
"""


@pytest.mark.skipif(
    any(shutil.which(p) is None for p in PROGRAMS), reason=f"needs {' and '.join(PROGRAMS)}"
)
def test_a_key_is_stored_in_a_secret_service_and_read_from_there(isolated: Path) -> None:
    environment = {**os.environ, "PYTHON": sys.executable, "HOME": str(isolated)}  # noqa: TID251
    environment.pop("DBUS_SESSION_BUS_ADDRESS", None)
    environment["XDG_DATA_HOME"] = str(isolated / "share")
    done = subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", SESSION],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "stored, read, used, removed"
    assert KEY not in done.stdout + done.stderr
