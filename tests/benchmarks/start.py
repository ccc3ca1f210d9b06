"""Measure the start time of clients, and its memory: `python -m tests.benchmarks.start`.

Cold is measured against importing the MCP library alone in the same interpreter, in the same run.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil

ROUNDS = 7


def environment(scratch: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ALLMA_")}  # noqa: TID251
    return {
        **kept,
        "ALLMA_DATA_DIR": str(scratch / "data"),
        "ALLMA_CONFIG": str(scratch / "config.toml"),
        "XDG_RUNTIME_DIR": str(scratch),
    }


def ask(process: "subprocess.Popen[bytes]", message: dict[str, Any], protocol: str) -> None:
    assert process.stdin is not None and process.stdout is not None
    body = json.dumps({"jsonrpc": "2.0", "id": 1, **message}).encode()
    if protocol == "mcp":
        process.stdin.write(body + b"\n")
        process.stdin.flush()
        process.stdout.readline()
        return
    process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
    process.stdin.flush()
    length = int(process.stdout.readline().split(b":")[1])
    process.stdout.readline()
    process.stdout.read(length)


HELLO: dict[str, dict[str, Any]] = {
    "mcp": {
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "benchmark", "version": "0"},
        },
    },
    "lsp": {"method": "initialize", "params": {"processId": None, "capabilities": {}}},
}


def start(protocol: str, env: dict[str, str]) -> tuple[float, "subprocess.Popen[bytes]"]:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "allma_server", protocol],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=env,
    )
    ask(process, HELLO[protocol], protocol)
    return time.perf_counter() - began, process


def end(process: "subprocess.Popen[bytes]") -> float:
    began = time.perf_counter()
    assert process.stdin is not None
    process.stdin.close()
    process.wait(10)
    return time.perf_counter() - began


def stop_daemon(env: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "allma_server", "daemon", "stop"],
        env=env,
        check=True,
        capture_output=True,
    )


def library() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "from mcp.server import MCPServer"], check=True)
    return time.perf_counter() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        env = environment(Path(folder))
        print(f"load {os.getloadavg()[0]:.1f}, median of {ROUNDS}")
        baseline = median(library() for _ in range(ROUNDS))
        print(f"  importing the MCP library alone: {baseline * 1000:.0f} ms")
        for protocol in ("mcp", "lsp"):
            cold: list[float] = []
            for _ in range(ROUNDS):
                seconds, process = start(protocol, env)
                cold.append(seconds)
                end(process)
                stop_daemon(env)
            print(f"  {protocol}, no daemon: {median(cold) * 1000:.0f} ms, "
                  f"{median(cold) / baseline:.2f} of the import")  # fmt: skip
            _, first = start(protocol, env)
            warm, memory, ends = [], [], []
            for _ in range(ROUNDS):
                seconds, process = start(protocol, env)
                warm.append(seconds)
                memory.append(psutil.Process(process.pid).memory_info().rss / 1e6)
                ends.append(end(process))
            print(f"  {protocol}, warm daemon: {median(warm) * 1000:.0f} ms; memory "
                  f"{median(memory):.0f} MB; ends in {median(ends) * 1000:.0f} ms")  # fmt: skip
            end(first)
            stop_daemon(env)


if __name__ == "__main__":
    main()
