"""HTTP access to model servers; every failure is raised as one of Allma's errors.

The only package that imports httpx. A server may be broken or hostile, so responses are limited in
size and time, and validated with pydantic.
"""

from allma_server.providers.http.client import ProviderClient, open_client
from allma_server.providers.http.failures import one_line
from allma_server.providers.http.provider import Provider, ollama, openai
from allma_server.providers.http.reading import StreamTimeouts
from allma_server.providers.http.wire import Count, WireModel, known_count

__all__ = [
    "Count",
    "Provider",
    "ProviderClient",
    "StreamTimeouts",
    "WireModel",
    "known_count",
    "ollama",
    "one_line",
    "open_client",
    "openai",
]
