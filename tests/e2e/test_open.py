"""`allma open`, as real processes: it starts the engine and a server that ends when unused."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx
import psutil
import pytest
from watchfiles import watch

from allma_server.daemon.link import stop
from tests.e2e.program import program
from tests.processes import wait_until_ended


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_EMBEDDER", "hashing/words-256")
    monkeypatch.setenv("ALLMA_HTTP_PORT", "0")


@pytest.fixture(autouse=True)
def ended(settings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Stop the engines, and wait until the servers have ended with them."""
    yield
    base = str(tmp_path_factory.getbasetemp())
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "--until-idle" in words and words[-1].startswith(base):
            subprocess.run([sys.executable, "-m", "allma_server", "daemon", "stop", *words[-2:]])
            wait_until_ended(process.pid)


def opened(*, print_it: bool = True) -> dict[str, Any]:
    command = [sys.executable, "-m", "allma_server", "open", "--json", *["--print"] * print_it]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_the_page_is_served_and_its_address_signs_in_once() -> None:
    first, second = opened(), opened()
    url, _, code = first["url"].partition("/#code=")
    assert not first["opened"]
    assert second["url"].startswith(f"{url}/#code=")
    with httpx.Client(base_url=url, headers={"origin": url}) as browser:
        assert "page.js" in browser.get("/").text
        assert browser.post("/api/login", json={"code": code}).status_code == 200
        assert browser.get("/api/me").json()["name"] == "local"
        assert browser.post("/api/login", json={"code": code}).status_code == 401


def test_a_browser_is_led_by_a_private_file_that_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, seen = tmp_path / "browser", tmp_path / "seen"
    browser.write_text(f'#!/bin/sh\nprintf "%s\n" "$@" >{seen}\n')
    browser.chmod(0o700)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    url = opened(print_it=False)["url"]
    [given] = seen.read_text().splitlines()
    file = Path(url2pathname(urlsplit(given).path))
    assert file.stat().st_mode & 0o777 == 0o600
    found = re.search(rf'"0; url={url}/#code=([\w-]+)"', file.read_text())
    assert found and found[1] not in given
    assert httpx.post(f"{url}/api/login", json={"code": found[1]}).status_code == 200
    changes = watch(file.parent, rust_timeout=500, yield_on_timeout=True)
    while file.exists():
        next(changes)


async def test_a_server_ends_when_it_is_unused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLMA_IDLE_MINUTES", "0.01")
    async with program("serve", "--until-idle", "--json") as (_, process):
        async with asyncio.timeout(100):
            assert await process.wait() == 0


def test_a_port_in_use_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = opened()["url"].partition("/#code=")[0]
    monkeypatch.setenv("ALLMA_HTTP_PORT", url.rpartition(":")[2])
    other = ["--data", str(tmp_path / "other")]
    command = [sys.executable, "-m", "allma_server", "open", "--print", *other]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    stop(tmp_path / "other")
    assert done.returncode == 1
    assert "is in use" in done.stderr
