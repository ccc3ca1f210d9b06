"""The conformance suites of MCP against `allma serve`, in both eras of the protocol."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import HERE, MODULES, Home, Served, program

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


@pytest.fixture(scope="module")
def url(home: Home, served: Served) -> Iterator[str]:
    """The address of a proxy that signs in: the suites send no header of their own."""
    [(name, value)] = served.headers.items()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Who connects before it serves is kept waiting by the system.
        proxy = [str(HERE / "header_proxy.py"), str(listening.fileno())]
        process = subprocess.Popen(
            [sys.executable, *proxy, served.url.removesuffix("/mcp"), name, value],
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
