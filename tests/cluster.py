"""Real clusters of Weaviate for tests: nodes on loopback, which a test may kill and start again.

`.ci/cluster` builds the server with Go; tests that need it have the mark `cluster`.
"""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import pytest

KEY = "a-key-of-the-cluster"
START_SECONDS = 90.0


def server_program() -> str:
    """The path of the server; skips the test where there is none."""
    cache = os.environ.get("TEST_CACHE") or Path.home() / ".cache" / "allma-tests"  # noqa: TID251
    found = shutil.which("weaviate-server", path=str(cache)) or shutil.which("weaviate-server")
    if found is None:
        pytest.skip("weaviate-server is not installed: .ci/cluster builds it with Go")
    return found


@dataclass
class Node:
    """One server, with its folder and ports; `number` counts from 0."""

    number: int
    directory: Path
    ports: Sequence[int]
    peers: Sequence["Node"] = ()
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def name(self) -> str:
        return f"node{self.number}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}/?grpc={self.ports[1]}"

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it, and return once others can join it."""
        http, grpc, gossip, data, raft, internal = self.ports
        environment = {
            "CLUSTER_HOSTNAME": self.name,
            "CLUSTER_IN_LOCALHOST": "true",
            "CLUSTER_BIND_ADDR": "127.0.0.1",
            "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
            "CLUSTER_GOSSIP_BIND_PORT": str(gossip),
            "CLUSTER_DATA_BIND_PORT": str(data),
            "RAFT_BIND_ADDRESS": "127.0.0.1",
            "RAFT_PORT": str(raft),
            "RAFT_INTERNAL_RPC_PORT": str(internal),
            "RAFT_BOOTSTRAP_EXPECT": str(len(self.peers)),
            "RAFT_JOIN": ",".join(f"{peer.name}:{peer.ports[4]}" for peer in self.peers),
            "GRPC_PORT": str(grpc),
            "PERSISTENCE_DATA_PATH": str(self.directory),
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
            "AUTHENTICATION_APIKEY_ENABLED": "true",
            "AUTHENTICATION_APIKEY_ALLOWED_KEYS": KEY,
            "AUTHENTICATION_APIKEY_USERS": "allma",
            "AUTHORIZATION_ADMINLIST_ENABLED": "true",
            "AUTHORIZATION_ADMINLIST_USERS": "allma",
            "DEFAULT_VECTORIZER_MODULE": "none",
            "DISABLE_TELEMETRY": "true",
            "DISK_USE_READONLY_PERCENTAGE": "99",
            "GO_PROFILING_DISABLE": "true",
            "GOMAXPROCS": "1",
        }
        # A node ends at once where it cannot join one of these.
        if running := [peer for peer in self.peers if peer.is_running]:
            environment["CLUSTER_JOIN"] = ",".join(f"127.0.0.1:{p.ports[2]}" for p in running)
        self.directory.mkdir(exist_ok=True)
        command = [server_program(), "--scheme", "http", "--host", "127.0.0.1", "--port", str(http)]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self._wait_for(lambda: socket.create_connection(("127.0.0.1", gossip), 5))

    def wait_until_ready(self) -> None:
        url = f"http://127.0.0.1:{self.ports[0]}/v1/.well-known/ready"
        self._wait_for(lambda: urllib.request.urlopen(url, timeout=5))

    def _wait_for(self, answer: Callable[[], contextlib.AbstractContextManager[object]]) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError), answer():
                return
            log = (self.directory / "log").read_text("utf-8", "replace")[-2000:]
            assert self.is_running and time.monotonic() < until, log
            time.sleep(0.1)  # nothing tells when a server answers

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@dataclass
class RunningCluster:
    """Nodes that are ready; `url` is the setting that names all of them."""

    nodes: list[Node] = field(default_factory=list[Node])

    @property
    def url(self) -> str:
        return ",".join(node.url for node in self.nodes)


@contextlib.contextmanager
def run_cluster(directory: Path, size: int = 1) -> Generator[RunningCluster]:
    """Run a cluster of so many nodes."""
    ports = _free_ports(size)
    nodes = [Node(n, directory / f"node{n}", ports[n]) for n in range(size)]
    for node in nodes:
        node.peers = nodes
    try:
        for node in nodes:
            node.start()
        for node in nodes:
            node.wait_until_ready()
        yield RunningCluster(nodes)
    finally:
        for node in nodes:
            if node.process is not None:
                node.kill()


def _free_ports(nodes: int) -> list[tuple[int, ...]]:
    """Return three pairs of free ports for each node; the second port of a pair follows the first.

    They are below those that systems choose for outgoing connections, which would take one before
    its node does. All are held until all are known, so that none is given twice.
    """
    with contextlib.ExitStack() as held:

        def is_free(port: int) -> bool:
            taken = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                taken.bind(("127.0.0.1", port))
                return True
            return False

        firsts = random.sample(range(20_000, 32_000, 2), 6_000)
        pairs = ((n, n + 1) for n in firsts if is_free(n) and is_free(n + 1))
        return [tuple(chain.from_iterable(islice(pairs, 3))) for _ in range(nodes)]
