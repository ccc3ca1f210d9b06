"""Host and Origin of each request: against web pages that reach a server by another name.

A page whose name is made to point at this machine (DNS rebinding) sends that name as Host. Checked
on every bind, because the page runs in a browser that may reach it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from allma_server.protocols.http.refusals import refusal

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_EVERY_ADDRESS = ("", "0.0.0.0", "::", "[::]")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a server, and the origins of other pages that may use it."""

    hosts: frozenset[str]
    origins: frozenset[str]

    def is_host(self, value: str | None) -> bool:
        """Return whether a Host header names this server; its port may be that of a proxy."""
        return value is not None and _name(value) in self.hosts

    def is_own_origin(self, value: str) -> bool:
        """Return whether an Origin header names a page of this server."""
        scheme, _, host = value.partition("://")
        return scheme in ("http", "https") and self.is_host(host)

    def is_origin(self, value: str) -> bool:
        """Return whether a page of this origin may send requests."""
        return value in self.origins or self.is_own_origin(value)


def names_of(host: str, others: str, origins: str) -> Names:
    """Return the names of a server that listens at `host`; the others are separated by commas."""
    own = () if host in _EVERY_ADDRESS else (f"[{host}]" if ":" in host else host,)
    hosts = {_name(each) for each in (*_LOOPBACK, *own, *_listed(others))}
    return Names(frozenset(hosts), frozenset(each.rstrip("/") for each in _listed(origins)))


def _listed(value: str) -> Iterable[str]:
    return filter(None, (each.strip() for each in value.split(",")))


def _name(host: str) -> str:
    """Return a host in lower case without its port."""
    end = host.find("]")
    name = host[: end + 1] if host.startswith("[") and end > 0 else host.partition(":")[0]
    return name.lower()


class CheckedOrigin:
    """Refuses requests to another host, and those of unknown pages."""

    def __init__(self, app: ASGIApp, names: Names) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if len(headers.getlist("host")) != 1 or not self._names.is_host(headers.get("host")):
                app = refusal(
                    421,
                    "wrong_host",
                    "This server does not have the name in the Host header.",
                    "The administrator can add it to the setting http_names.",
                )
            elif origin is not None and not self._names.is_origin(origin):
                app = refusal(
                    403,
                    "wrong_origin",
                    "Pages of this origin may not use this server.",
                    "The administrator can add it to the setting cors_origins.",
                )
        await app(scope, receive, send)
