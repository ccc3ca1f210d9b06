"""Addresses of servers in the forms that people and Ollama write."""

import pytest

from allma_server._internal.addresses import OLLAMA_PORT, server_address, without_password
from allma_server.config import Config, load_config
from allma_server.errors import InvalidArgument

WRITTEN = {
    "https://h": "https://h",
    "http://h/ollama": "http://h/ollama",
    "http://h:8080/ollama/": "http://h:8080/ollama",
    "http://h:11434/": "http://h:11434",
    "h": "http://h:11434",
    "h:80": "http://h:80",
    "h/path": "http://h:11434/path",
    ":11434": "http://127.0.0.1:11434",
    ":8080": "http://127.0.0.1:8080",
    '"h:1234"': "http://h:1234",
    " 'https://h' ": "https://h",
    "127.0.0.1": "http://127.0.0.1:11434",
    "0.0.0.0": "http://127.0.0.1:11434",
    "http://0.0.0.0:8080": "http://127.0.0.1:8080",
    "::1": "http://[::1]:11434",
    "[::1]": "http://[::1]:11434",
    "[::1]:8080": "http://[::1]:8080",
    "http://[::]:8080/x": "http://[::1]:8080/x",
    "[::]": "http://[::1]:11434",
    "HTTPS://h:443": "https://h:443",
    "https://name:secret@h/x": "https://name:secret@h/x",
    "ollama.com": "https://ollama.com",
}


@pytest.mark.parametrize(("written", "address"), WRITTEN.items())
def test_ollama_host_is_read_as_by_ollama(
    written: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", written)
    assert load_config().ollama_url == address


@pytest.mark.parametrize(("written", "address"), WRITTEN.items())
def test_the_setting_is_read_in_the_same_way(written: str, address: str) -> None:
    assert Config(ollama_url=written).ollama_url == address


@pytest.mark.parametrize("empty", ["", " ", '""', "''"])
def test_an_empty_address_is_absent(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", empty)
    assert load_config().ollama_url == "http://127.0.0.1:11434"
    assert Config(ollama_url=empty).ollama_url == "http://127.0.0.1:11434"
    assert Config(openai_url=empty).openai_url is None


@pytest.mark.parametrize(
    "bad",
    ["ftp://h", "http://", "http://[::1", "h:port", "h:99999", "http://a b", "a:b:c", "http:///x"],
)
def test_an_invalid_address_is_reported_with_its_variable(
    bad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", bad)
    with pytest.raises(InvalidArgument, match="OLLAMA_HOST") as failed:
        load_config()
    assert failed.value.hint
    assert bad not in failed.value.message or ".." not in failed.value.message


def test_other_servers_do_not_get_ollama_s_default_port() -> None:
    assert Config(openai_url="h/v1/").openai_url == "http://h/v1"
    assert server_address("h", OLLAMA_PORT) != server_address("h")


def test_a_password_in_an_address_is_not_shown() -> None:
    assert without_password("https://name:secret@h:1/x@y") == "https://h:1/x@y"
    assert without_password("http://h") == "http://h"
