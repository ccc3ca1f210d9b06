"""Clients of MCP over `allma serve`, with a token, in both eras of the protocol."""

import json
from typing import Any

import pytest

from tests.clients.conftest import HERE, Home, Served, program
from tests.clients.scripted_model import SAID, claude_variables, scripted_model

ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])


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


def test_claude_code_searches_and_uses_what_is_found(home: Home, served: Served) -> None:
    [(name, value)] = served.headers.items()
    added = ("mcp", "add", "--transport", "http", "allma", served.url)
    home.client("claude", *added, "--header", f"{name}: {value}")
    with scripted_model("what do zebras eat") as model:
        said = home.client(
            "claude",
            *("-p", "What do zebras eat?", "--output-format", "json"),
            *("--allowedTools", "mcp__allma__search"),
            **claude_variables(model),
        )
    assert "mcp__allma__search" in model.tools
    answer = json.loads(said)["result"]
    assert answer.startswith(SAID) and "zebras eat hay in winter" in answer
