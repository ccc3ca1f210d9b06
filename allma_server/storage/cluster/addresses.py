"""The addresses of a cluster, as the settings write them."""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from allma_server._internal.addresses import server_address

GRPC_PORT = 50051
"""Where a node answers gRPC unless its address says otherwise."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where one node answers: HTTP at a host and port, and gRPC at another port of the host."""

    host: str
    port: int
    secure: bool
    grpc_port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


def addresses(written: str) -> list[Address]:
    """Return the nodes of `http://HOST:PORT`, of which several are separated by commas.

    `/?grpc=PORT` at the end of one says where it answers gRPC.

    Raises:
        ValueError: one of them is not the address of a server.
    """
    return [_address(each) for each in written.split(",") if each.strip()]


def _address(written: str) -> Address:
    parts = urlsplit(server_address(written) or "")
    secure = parts.scheme == "https"
    grpc = parse_qs(parts.query).get("grpc", [""])[0]
    if grpc and not (grpc.isascii() and grpc.isdigit() and int(grpc[:6]) < 65536):
        raise ValueError("its port of gRPC is not a number up to 65535")
    return Address(
        parts.hostname or "",
        parts.port or (443 if secure else 80),
        secure,
        int(grpc or (443 if secure else GRPC_PORT)),
    )
