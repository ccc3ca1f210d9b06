"""HTTP to model servers: opens a client, and turns whatever goes wrong into Allma's errors.

The one home of httpx. A server may be broken or hostile: everything that is read of it is bounded
in bytes and in time, and read into pydantic models, so that nothing untyped goes further.
"""

from allma_server.providers.http.client import ProviderClient, open_client
from allma_server.providers.http.failures import one_line
from allma_server.providers.http.provider import Provider, ollama, openai
from allma_server.providers.http.reading import Listening
from allma_server.providers.http.wire import Count, WireModel, known_count

__all__ = [
    "Count",
    "Listening",
    "Provider",
    "ProviderClient",
    "WireModel",
    "known_count",
    "ollama",
    "one_line",
    "open_client",
    "openai",
]
