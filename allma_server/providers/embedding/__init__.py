"""Embedders: turn texts into vectors, with the bundled model or a model server.

An embedder is named `provider/model`. To add a provider, add a file here and a line in EMBEDDERS.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from allma_server.config import Config
from allma_server.errors import InvalidArgument
from allma_server.ports import Embedder
from allma_server.providers.embedding.cache import QueryCache
from allma_server.providers.embedding.checked import CheckedEmbedder, StoredDimensions
from allma_server.providers.embedding.hashing import open_hashing
from allma_server.providers.embedding.local import MODEL as LOCAL_MODEL
from allma_server.providers.embedding.local import current_name, open_local
from allma_server.providers.embedding.ollama import has_model, open_ollama
from allma_server.providers.embedding.onnx import open_onnx
from allma_server.providers.embedding.openai import open_openai

EMBEDDERS: Mapping[str, Callable[[str, Config], AbstractAsyncContextManager[Embedder]]] = {
    "local": open_local,
    "onnx": open_onnx,
    "ollama": open_ollama,
    "openai": open_openai,
    "hashing": open_hashing,
}

PREFERRED_OLLAMA_MODEL = "nomic-embed-text"


async def resolve_embedder(config: Config) -> str:
    """Return the name of the configured embedder; `auto` is decided now, so store the result."""
    if config.embedder != "auto":
        return current_name(config.embedder)
    if await has_model(config, PREFERRED_OLLAMA_MODEL, seconds=1.0):
        return f"ollama/{PREFERRED_OLLAMA_MODEL}"
    return f"local/{LOCAL_MODEL}"


def replacement(serving: str, setting: str) -> str | None:
    """Return the embedder that is to take over from the serving one; None if that stays.

    `setting` is the configured one. A bundled model is also replaced by its newer build, whatever
    the settings say, because its own files no longer exist.
    """
    wanted = current_name(serving if setting == "auto" else setting)
    return wanted if wanted != serving else None


@asynccontextmanager
async def open_embedder(
    name: str, config: Config, stored: StoredDimensions | None = None
) -> AsyncGenerator[Embedder]:
    """Open the embedder `name` (`provider/model`), with a cache for query vectors.

    Opening succeeds even if its server is unavailable.

    Args:
        name: as in the settings, but not `auto`.
        config: the addresses of servers, and the number of threads.
        stored: returns the dimensions of the vectors stored for an identity, which new vectors
            must have as well.

    Raises:
        InvalidArgument: there is no such provider or, for bundled models, no such model.
    """
    provider, _, model = name.partition("/")
    if provider not in EMBEDDERS or not model:
        raise InvalidArgument(
            f"{name!r} does not name an embedder.",
            f"Write provider/model; the providers are {', '.join(EMBEDDERS)}.",
        )
    async with EMBEDDERS[provider](model, config) as embedder:
        yield QueryCache(embedder if stored is None else CheckedEmbedder(embedder, stored))
