"""Requests to model servers go through the configured proxy."""

import base64

import httpx
import pytest

from allma_server.config import Config
from allma_server.errors import InvalidArgument, ProviderUnreachable
from allma_server.providers.chat.ollama import open_ollama
from allma_server.providers.http.transport import proxy_for
from tests.ollama.wire import Exchange, serving

SERVER = "http://models.example:11434"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def version(exchange: Exchange) -> None:
    await exchange.answer({"version": "0.33.0"})


async def test_requests_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(version) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//user:pass@"))
        async with open_ollama(Config(ollama_url=SERVER)) as chat:
            assert await chat.version() == "0.33.0"
    [request] = proxy.seen
    assert request.path == f"{SERVER}/api/version"
    password = base64.b64encode(b"user:pass").decode()
    assert request.headers["proxy-authorization"] == f"Basic {password}"


async def test_a_refused_connection_to_the_proxy_is_reported(
    monkeypatch: pytest.MonkeyPatch, unused_url: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", unused_url)
    async with open_ollama(Config(ollama_url=SERVER)) as chat:
        with pytest.raises(ProviderUnreachable, match="not running at"):
            await chat.version()


async def test_an_https_server_is_reached_by_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.answer("", 403)

    async with serving(refuse) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with open_ollama(Config(ollama_url="https://models.example")) as chat:
            with pytest.raises(ProviderUnreachable):
                await chat.version()
    [request] = proxy.seen
    assert (request.method, request.path) == ("CONNECT", "models.example:443")


async def test_an_unsupported_proxy_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://user:pass@127.0.0.1:1080")
    async with open_ollama(Config(ollama_url=SERVER)) as chat:
        with pytest.raises(ProviderUnreachable, match="socks5://127.0.0.1:1080") as failure:
            await chat.version()
    assert "NO_PROXY=models.example" in (failure.value.hint or "")


async def test_an_invalid_proxy_address_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "ftp://127.0.0.1")
    with pytest.raises(InvalidArgument, match="proxy"):
        async with open_ollama(Config(ollama_url=SERVER)):
            pass


@pytest.mark.parametrize(
    ("excluded", "used"),
    [
        ("", True),
        ("*", False),
        ("models.example", False),
        ("models.example:11434", False),
        ("models.example:80", True),
        ("example", False),
        (".example", False),
        ("other.example", True),
    ],
)
def test_no_proxy_excludes_servers(
    monkeypatch: pytest.MonkeyPatch, excluded: str, used: bool
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", excluded)
    proxy = proxy_for(httpx.URL(SERVER))
    assert (proxy is not None) == used
    if proxy:
        assert str(proxy.url) == "http://proxy.example:3128"
