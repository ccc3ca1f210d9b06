"""Run Allma's main job in an isolated network, and record the packets it sends.

`unshare --map-root-user --net python -m tests.e2e.network_job FOLDER` prints each address that a
process of the job sent something to, one a line. Linux only. The packets themselves are looked at,
so that no library escapes, whatever it is written in.
"""

import asyncio
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator

from tests.e2e.program import program

OLLAMA = 11434
"""The port of the only configured provider, which Allma may contact."""

QUIET_SECONDS = 12.0
"""Time to watch the idle daemon: onnxruntime 1.32 sends nine seconds after its import."""

_EVERY_PROTOCOL = 3
_ETHERNET = 14
_TCP, _UDP = 6, 17


def route_everything_to_loopback() -> None:
    """Route all packets to the loopback interface, where they are dropped."""
    for command in ("link set lo up", "route add default dev lo", "-6 route add default dev lo"):
        subprocess.run(["ip", *command.split()], check=True)


class Sniffer(threading.Thread):
    """Collect the destinations of all packets, except for the configured provider."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[str] = set()
        self.sent = threading.Event()
        self._packets = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_PROTOCOL)
        )
        self._packets.bind(("lo", 0))

    def run(self) -> None:
        while True:
            for address in destinations(self._packets.recv(65535)[_ETHERNET:]):
                self.seen.add(address)
                self.sent.set()


def destinations(packet: bytes) -> Iterator[str]:
    """Return the destination of a TCP or UDP packet, with the text of a DNS query."""
    if packet[0] >> 4 == 4:
        protocol, start, address = packet[9], (packet[0] & 15) * 4, packet[16:20]
    else:
        protocol, start, address = packet[6], 40, packet[24:40]
    if protocol not in (_TCP, _UDP):
        return
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    source, port = struct.unpack_from("!HH", packet, start)
    host = socket.inet_ntop(family, address)
    if host == "127.0.0.1" and OLLAMA in (source, port):
        return
    name = bytes(b for b in packet[start + 20 :] if 32 < b < 127) if port == 53 else b""
    yield f"{host} port {port} {name.decode()}".rstrip()


async def do_the_main_job(folder: str, sniffer: Sniffer) -> None:
    """Index, search and ask: in the shell's own process, then in an AI client's daemon."""
    await shell("--solo", "index", folder)
    async with program("mcp") as (client, _):
        client.deadline = 100
        await client.initialize()
        await client.tool("index", action="add", path=folder)
        found = await client.tool("search", query="needle in the haystack")
        assert found["structuredContent"]["passages"], found
        await client.tool("ask", question="Where is the needle?")
        await shell("search", "needle in the haystack")
        await shell("ask", "Where is the needle?")
        await asyncio.to_thread(sniffer.sent.wait, QUIET_SECONDS)
    await shell("daemon", "stop")


async def shell(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "allma_server", *arguments, stdout=subprocess.DEVNULL
    )
    assert await process.wait() == 0, arguments


if __name__ == "__main__":
    route_everything_to_loopback()
    sniffer = Sniffer()
    sniffer.start()
    asyncio.run(do_the_main_job(sys.argv[1], sniffer))
    print(*sorted(sniffer.seen), sep="\n")  # noqa: T201
