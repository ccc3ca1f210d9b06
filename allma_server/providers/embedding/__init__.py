"""Embedders: texts to vectors, by the embedded model or by a server.

An embedder is named `provider/model`. Adding a provider is one file here and one line in EMBEDDERS.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from allma_server.config import Config
from allma_server.errors import InvalidArgument
from allma_server.ports import Embedder
from allma_server.providers.embedding.cache import QueryCache
from allma_server.providers.embedding.checked import CheckedDimensions, StoredDimensions
from allma_server.providers.embedding.hashing import open_hashing
from allma_server.providers.embedding.local import MODEL as LOCAL_MODEL
from allma_server.providers.embedding.local import open_local
from allma_server.providers.embedding.ollama import has_model, open_ollama
from allma_server.providers.embedding.openai import open_openai

EMBEDDERS: Mapping[str, Callable[[str, Config], AbstractAsyncContextManager[Embedder]]] = {
    "local": open_local,
    "ollama": open_ollama,
    "openai": open_openai,
    "hashing": open_hashing,
}

PREFERRED_OLLAMA_MODEL = "nomic-embed-text"


async def choose(config: Config) -> str:
    """The embedder's name that `auto` stands for now; whoever asks keeps the answer."""
    if config.embedder != "auto":
        return config.embedder
    if await has_model(config, PREFERRED_OLLAMA_MODEL, seconds=1.0):
        return f"ollama/{PREFERRED_OLLAMA_MODEL}"
    return f"local/{LOCAL_MODEL}"


@asynccontextmanager
async def open_embedder(
    name: str, config: Config, stored: StoredDimensions | None = None
) -> AsyncGenerator[Embedder]:
    """The embedder `name` (`provider/model`), with its recent queries remembered.

    Opening succeeds while its server is away. With `stored`, its vectors are compared with those
    that are stored of it.

    Raises:
        InvalidArgument: no such provider or, where Allma can know it, model.
    """
    provider, _, model = name.partition("/")
    if provider not in EMBEDDERS or not model:
        raise InvalidArgument(
            f"{name!r} does not name an embedder.",
            f"Write provider/model; the providers are {', '.join(EMBEDDERS)}.",
        )
    async with EMBEDDERS[provider](model, config) as embedder:
        yield QueryCache(embedder if stored is None else CheckedDimensions(embedder, stored))
