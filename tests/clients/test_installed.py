"""Clients read the entry that `allma install` writes, and list the server as connected."""

import json
import tomllib
from typing import Any

import pytest

from tests.clients.conftest import Home, program
from tests.clients.scripted_model import SAID, claude_variables, scripted_model

TRUSTED: dict[str, Any] = {"GEMINI_CLI_TRUST_WORKSPACE": "true", "GEMINI_API_KEY": "none"}


@pytest.fixture(scope="module", autouse=True)
def installed(home: Home) -> None:
    for name in ("claude-code", "codex", "gemini", "opencode"):
        home.allma("install", name)


def test_claude_code_connects(home: Home) -> None:
    said = home.client("claude", "mcp", "list")
    assert "allma" in said and "Connected" in said


def test_gemini_connects(home: Home) -> None:
    done = home.run([*_both("gemini"), "mcp", "list"], **TRUSTED)
    assert "allma" in done and "Connected" in done


def _both(name: str) -> list[str]:
    # Gemini lists its servers on standard error.
    return ["sh", "-c", 'exec "$@" 2>&1', "sh", *program(name)]


def test_opencode_connects(home: Home) -> None:
    said = home.run([*_both("opencode"), "mcp", "list"])
    assert "allma" in said and "connected" in said


def test_codex_reads_its_entry(home: Home) -> None:
    [server] = json.loads(home.client("codex", "mcp", "list", "--json"))
    assert server["name"] == "allma" and server["enabled"]
    assert server["transport"]["args"] == ["mcp"]


def test_codex_searches_and_uses_what_is_found(home: Home) -> None:
    path = home.path / ".codex" / "config.toml"
    with scripted_model("what do zebras eat") as model:
        given: dict[str, Any] = {
            "model": "scripted",
            "model_provider": "local",
            "approval_policy": "never",
            "sandbox_mode": "danger-full-access",
            "model_providers.local.name": "local",
            "model_providers.local.base_url": model.url,
            "model_providers.local.wire_api": "responses",
            "model_providers.local.env_key": "SCRIPTED_KEY",
            "analytics.enabled": False,
        }
        options = [word for k, v in given.items() for word in ("-c", f"{k}={json.dumps(v)}")]
        said = home.client(
            "codex",
            *("exec", "--skip-git-repo-check", "--json", *options, "What do zebras eat?"),
            SCRIPTED_KEY="none",
        )
    events = [json.loads(line) for line in said.splitlines()]
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    [call] = [item for item in items if item["type"] == "mcp_tool_call"]
    assert call["server"] == "allma" and call["tool"] == "search"
    answers = [item["text"] for item in items if item["type"] == "agent_message"]
    assert answers[-1].startswith(SAID) and "zebras eat hay in winter" in answers[-1]
    assert "zoo.md" in answers[-1]
    assert "allma" in tomllib.loads(path.read_text())["mcp_servers"]


def test_claude_code_searches_and_uses_what_is_found(home: Home) -> None:
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


def test_opencode_searches_and_uses_what_is_found(home: Home) -> None:
    path = home.path / ".config" / "opencode" / "opencode.json"
    written = json.loads(path.read_text())
    with scripted_model("what do zebras eat") as model:
        local = {
            "npm": "@ai-sdk/openai-compatible",
            "name": "local",
            "options": {"baseURL": model.url, "apiKey": "none"},
            "models": {"scripted": {"name": "scripted", "tool_call": True}},
        }
        changed = written | {
            "autoupdate": False,
            "share": "disabled",
            "model": "local/scripted",
            "small_model": "local/scripted",
            "provider": {"local": local},
        }
        path.write_text(json.dumps(changed))
        said = home.client("opencode", "run", "What do zebras eat?")
        path.write_text(json.dumps(written))
    assert "allma_search" in model.tools
    assert "zebras eat hay in winter" in said, said
