"""Runs within a session that has a Secret Service: what the shell stores, an engine reads."""

import asyncio
import subprocess
import sys

import keyring
from keyring.backends.SecretService import Keyring

from allma_server.config import Config
from allma_server.errors import ApiKeyRefused
from allma_server.providers.chat.ollama import open_ollama
from tests.ollama.wire import Exchange, serving

KEY = "sk-Kernow-1871"


def allma(*arguments: str, typed: str = "") -> str:
    program = [sys.executable, "-m", "allma_server", "config", *arguments]
    done = subprocess.run(program, input=typed, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


async def main() -> None:
    assert isinstance(keyring.get_keyring(), Keyring), keyring.get_keyring()

    async def script(exchange: Exchange) -> None:
        given = exchange.headers.get("authorization")
        await exchange.answer({"version": "1"}, 200 if given == f"Bearer {KEY}" else 401)

    said = await asyncio.to_thread(allma, "set-key", "ollama", typed=f"{KEY}\n")
    said += await asyncio.to_thread(allma, "list")
    assert KEY not in said and "key ring" in said
    assert keyring.get_password("allma", "ollama") == KEY
    async with serving(script) as wire, open_ollama(Config(ollama_url=wire.url)) as chat:
        assert await chat.version() == "1"
        assert [e.headers.get("authorization") for e in wire.seen] == [f"Bearer {KEY}"]
        await asyncio.to_thread(allma, "unset-key", "ollama")
        assert keyring.get_password("allma", "ollama") is None
        try:
            await chat.version()
        except ApiKeyRefused:
            sys.stdout.write("stored, read, used, removed\n")


asyncio.run(main())
