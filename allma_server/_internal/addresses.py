"""Addresses of model servers, as people write them.

What is understood is what Ollama understands in OLLAMA_HOST, and the same for every server, so
that one value serves both programs.
"""

import ipaddress

OLLAMA_PORT = 11434

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a server listens on all its addresses; a client has to name one."""


def server_address(written: str, default_port: int | None = None) -> str | None:
    """The address of a server as a URL without a slash at its end; None for an empty one.

    Quotes and blanks around it are dropped. Without a scheme it is http, at `default_port` where
    no port is given; with one, the port of the scheme. A path is kept.

    Raises:
        ValueError: it is not the address of an HTTP server.
    """
    text = written.strip().strip("\"'").strip()
    if not text:
        return None
    if text == "ollama.com":
        text = "https://ollama.com"  # which Ollama takes for its own servers
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "http", text
    if scheme.lower() not in ("http", "https"):
        raise ValueError(f"{scheme} is not http or https")
    place, _, path = rest.partition("/")
    user, at, place = place.rpartition("@")
    host, port = _host_and_port(place)
    if not place:
        raise ValueError("it names no host")
    if not found:
        port = port or default_port
    host = _ANYWHERE.get(host, host) or "127.0.0.1"
    shown = f"[{host}]" if ":" in host else host
    address = f"{scheme.lower()}://{user}{at}{shown}" + (f":{port}" if port else "")
    return (f"{address}/{path}" if path else address).rstrip("/")


def without_password(url: str) -> str:
    """The address as it may be shown: without the name and password that it may hold."""
    scheme, found, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{found}{place.rpartition('@')[2]}{slash}{path}"


def _host_and_port(place: str) -> tuple[str, int | None]:
    if any(c.isspace() or not c.isprintable() for c in place):
        raise ValueError("there is a blank in it")
    if place.count(":") > 1 and "[" not in place:
        return _ip(place), None
    if place.startswith("["):
        inside, closed, port = place[1:].partition("]")
        if not closed or port[:1] not in ("", ":"):
            raise ValueError("its brackets are not closed")
        return _ip(inside), _port(port[1:])
    host, _, port = place.partition(":")
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
