"""Parse addresses of servers, as people write them.

The rules are those of Ollama for OLLAMA_HOST, and apply to every server, so that one value works in
both programs.
"""

import ipaddress

OLLAMA_PORT = 11434

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Wildcard addresses of a listening server, and the address that a client connects to."""


def server_address(written: str, default_port: int | None = None) -> str | None:
    """Return the address of a server as a URL without a trailing slash; None for an empty one.

    Surrounding quotes and blanks are dropped. Without a scheme it is http, and `default_port` is
    used where no port is given; with a scheme, the port of that scheme. A path is kept.

    Raises:
        ValueError: it is not the address of an HTTP server.
    """
    text = written.strip().strip("\"'").strip()
    if not text:
        return None
    if text == "ollama.com":
        text = "https://ollama.com"  # as Ollama does
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "http", text
    if scheme.lower() not in ("http", "https"):
        raise ValueError(f"{scheme} is not http or https")
    location, _, path = rest.partition("/")
    user, at, location = location.rpartition("@")
    host, port = _host_and_port(location)
    if not location:
        raise ValueError("it has no host")
    if not found:
        port = port or default_port
    host = _WILDCARDS.get(host, host) or "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    address = f"{scheme.lower()}://{user}{at}{shown}" + (f":{port}" if port else "")
    return (f"{address}/{path}" if path else address).rstrip("/")


def without_password(url: str) -> str:
    """Return an address without user name and password, so that it can be shown."""
    scheme, found, rest = url.partition("://")
    location, slash, path = rest.partition("/")
    return f"{scheme}{found}{location.rpartition('@')[2]}{slash}{path}"


def _host_and_port(text: str) -> tuple[str, int | None]:
    if any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError("it contains a blank")
    if text.count(":") > 1 and "[" not in text:
        return _ip(text), None
    if text.startswith("["):
        inside, closed, port = text[1:].partition("]")
        if not closed or port[:1] not in ("", ":"):
            raise ValueError("its brackets are not closed")
        return _ip(inside), _port(port[1:])
    host, _, port = text.partition(":")
    if any(c in host for c in "[]\\?#%"):
        raise ValueError("its host is not valid")
    return host, _port(port)


def _ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("its host is not valid") from None


def _port(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
        raise ValueError("its port is not a number up to 65535")
    return int(text)
