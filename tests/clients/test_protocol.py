"""Test clients of MCP, over everything that they can call, in both eras."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.conftest import HERE, MODULES, SERVER, Home, program

ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])

# What the suites ask for by a name of their own, or of an extension, is not there to be reached.
REACHED = {
    "conformance": {
        "server-initialize",
        "ping",
        "completion-complete",
        "tools-list",
        "server-sse-multiple-streams",
        "resources-list",
        "resources-subscribe",
        "resources-unsubscribe",
        "prompts-list",
        "dns-rebinding-protection",
    },
    "conformance-modern": {
        "completion-complete",
        "tools-list",
        "server-sse-multiple-streams",
        "resources-list",
        "sep-2164-resource-not-found",
        "prompts-list",
        "dns-rebinding-protection",
        "caching",
        "input-required-result-missing-input-response",
        "input-required-result-unsupported-methods",
        "input-required-result-ignore-extra-params",
        "input-required-result-validate-input",
    },
}
REQUIRED = {"conformance": [], "conformance-modern": ["--requirements", "2026-07-28"]}


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


@pytest.fixture(scope="module")
def url(home: Home) -> Iterator[str]:
    """Our handlers over HTTP."""
    settings = home.settings | {"ALLMA_DATA_DIR": str(home.path / "http")}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Who connects before it serves is kept waiting by the system.
        process = subprocess.Popen(
            [sys.executable, str(HERE / "http_server.py"), str(listening.fileno())],
            env=home.environment | settings | {"PYTHONPATH": str(HERE.parents[1])},
            cwd=home.path,
            pass_fds=[listening.fileno()],
        )
        port = listening.getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("suite", list(REACHED))
def test_the_conformance_suite_passes_what_it_can_reach(
    home: Home, url: str, suite: str, tmp_path: Path
) -> None:
    node = program("mcporter")[0]
    main = json.loads((MODULES / _package(suite) / "package.json").read_text())["bin"]
    script = MODULES / _package(suite) / next(iter(main.values()))
    said = home.run(
        [node, str(script), "server", "--url", url, *REQUIRED[suite], "-o", str(tmp_path)],
        code=1,  # what it cannot reach has failed
        seconds=150,
    )
    passed = set(re.findall(r"^✓ (\S+): [1-9]\d* passed, 0 failed", said, re.M))
    assert REACHED[suite] - passed == set(), said


def _package(suite: str) -> str:
    return suite if suite == "conformance-modern" else "@modelcontextprotocol/conformance"
