"""Test clients of MCP, over everything that they can call, in both eras."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import HERE, SERVER, Home, program

ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])


def inspect(home: Home, era: str, method: str, *arguments: str, code: int = 0) -> Any:
    """What the inspector gets for a method; it exits with 5 when a tool fails."""
    variables = [word for k, v in home.settings.items() for word in ("-e", f"{k}={v}")]
    chosen = ["--protocol-era", "modern"] if era == "modern" else []
    said = home.run(
        [*program("mcp-inspector"), "--cli", *variables, *chosen, "--method", method]
        + [*arguments, "--", SERVER, "mcp"],
        code=code,
    )
    return json.loads(said)


@ERAS
def test_the_inspector_accepts_the_tools(home: Home, era: str) -> None:
    listed = inspect(home, era, "tools/list", "--strict")
    names = [tool["name"] for tool in listed["tools"]]
    assert len(names) == 8 and names[0] == "search"


@ERAS
def test_the_inspector_searches_and_shows_errors(home: Home, era: str) -> None:
    call = ("--tool-name", "search", "--tool-args-json")
    found = inspect(home, era, "tools/call", *call, '{"query": "zebras"}')
    assert found["structuredContent"]["passages"][0]["path"].endswith("zoo.md")
    failed = inspect(home, era, "tools/call", *call, '{"top_k": 1}', code=5)
    assert "needs the argument 'query'" in failed["content"][0]["text"]


@ERAS
def test_the_inspector_reads_resources_and_prompts(home: Home, era: str) -> None:
    status = inspect(home, era, "resources/read", "--uri", "allma://status")
    assert json.loads(status["contents"][0]["text"])["workspaces"]
    asked = ("--prompt-name", "ask_workspace", "--prompt-args", "question=what do zebras eat")
    prompt = inspect(home, era, "prompts/get", *asked)
    assert "hay in winter" in prompt["messages"][0]["content"]["text"]


def test_mcporter_lists_and_calls_tools(home: Home, config: Path) -> None:
    listed = home.client("mcporter", "--config", str(config), "list", "allma")
    assert "search" in listed
    called = ("call", "allma.search", "query=zebras", "--output", "json")
    found = json.loads(home.client("mcporter", "--config", str(config), *called))
    assert found["passages"][0]["path"].endswith("zoo.md")


def test_the_typescript_sdk_gets_progress_and_data(home: Home) -> None:
    node = program("mcporter")[0]
    said = home.run([node, str(HERE / "sdk_client.mjs"), SERVER, json.dumps(home.settings)])
    result = json.loads(said)
    assert result["server"]["name"] == "allma"
    assert {"tools", "resources", "prompts", "completions"} <= set(result["capabilities"])
    assert len(result["tools"]) == 8
    assert result["search"]["passages"][0]["path"].endswith("zoo.md")
    assert result["indexed"]["indexed"] + result["indexed"]["unchanged"] == 1
    assert result["progress"] == sorted(set(result["progress"]))
    assert "hay in winter" in result["document"]
