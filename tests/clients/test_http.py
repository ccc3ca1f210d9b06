"""Clients of MCP over `allma serve`, with a token, in both eras of the protocol."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.clients.conftest import ALLMA, HERE, Home, program

ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])


@dataclass(frozen=True)
class Served:
    """Where MCP is served, and the header of a user who reads."""

    url: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture(scope="module")
def served(home: Home) -> Iterator[Served]:
    token = json.loads(home.allma("tokens", "add", "ann", "--json"))["token"]
    with subprocess.Popen(
        [ALLMA, "serve", "--port", "0", "--json"],
        env=home.environment | home.settings,
        cwd=home.path,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in range(3))
        yield Served(f"{json.loads(said)['url']}/mcp", token)
        process.terminate()


def inspect(home: Home, served: Served, era: str, method: str, *arguments: str) -> Any:
    chosen = ["--protocol-era", "modern"] if era == "modern" else []
    header = ["--transport", "http", "--header", f"Authorization: Bearer {served.token}"]
    command = [*program("mcp-inspector"), "--cli", served.url, *header, *chosen]
    return json.loads(home.run([*command, "--method", method, *arguments]))


@ERAS
def test_the_inspector_lists_and_calls_tools(home: Home, served: Served, era: str) -> None:
    tools = inspect(home, served, era, "tools/list", "--strict")["tools"]
    assert len(tools) == 8
    call = ("--tool-name", "search", "--tool-args-json", '{"query": "zebras"}')
    found = inspect(home, served, era, "tools/call", *call)
    assert found["structuredContent"]["passages"][0]["path"].endswith("zoo.md")


def test_mcporter_lists_and_calls_tools(home: Home, served: Served) -> None:
    config = home.path / "http.json"
    entry = {"baseUrl": served.url, "headers": served.headers}
    config.write_text(json.dumps({"mcpServers": {"allma": entry}}))
    assert "search" in home.client("mcporter", "--config", str(config), "list", "allma")
    called = ("call", "allma.search", "query=zebras", "--output", "json")
    found = json.loads(home.client("mcporter", "--config", str(config), *called))
    assert found["passages"][0]["path"].endswith("zoo.md")


def test_the_typescript_sdk_gets_progress_and_data(home: Home, served: Served) -> None:
    node = program("mcporter")[0]
    said = home.run([node, str(HERE / "sdk_client.mjs"), served.url, json.dumps(served.headers)])
    result = json.loads(said)
    assert result["server"]["name"] == "allma"
    assert result["search"]["passages"][0]["path"].endswith("zoo.md")
    assert result["indexed"]["code"] == "permission_denied"
    assert "hay in winter" in result["document"]
