"""Embed with Ollama's `/api/embed`."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

from pydantic import BaseModel, Field

from allma_server._internal.tasks import background_tasks
from allma_server.config import Config
from allma_server.errors import ModelUnsuitable, ProviderError
from allma_server.providers.embedding.served import ServedEmbedder
from allma_server.providers.http import ProviderClient, WireModel, ollama, open_client

EMBED_SECONDS = 300.0
"""The model may have to be loaded first, and the CPU may be busy."""
MAX_MODELS = 5000


class OllamaEmbeddingApi:
    """Ollama's embedding calls for one model; implements `EmbeddingApi`."""

    def __init__(self, client: ProviderClient, model: str) -> None:
        self._client = client
        self._model = model

    async def dimensions(self) -> int | None:
        """Raise ModelUnsuitable if the model cannot embed."""
        shown = await self._client.call(
            "POST", "/api/show", _Show, {"model": self._model}, model=self._model
        )
        if shown.capabilities and "embedding" not in shown.capabilities:
            raise ModelUnsuitable(
                f"The model {self._model} cannot embed; its capabilities are "
                f"{', '.join(shown.capabilities)}.",
                "`allma models pull nomic-embed-text` installs an embedding model.",
            )
        return shown.dimensions

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        answer = await self._client.call(
            "POST",
            "/api/embed",
            _Embedded,
            {"model": self._model, "input": list(texts), "truncate": False},
            model=self._model,
            seconds=EMBED_SECONDS,
        )
        return answer.embeddings


@asynccontextmanager
async def open_ollama(model: str, config: Config) -> AsyncGenerator[ServedEmbedder]:
    """Open an embedding model of the Ollama server at `ollama_url`; it need not be running yet."""
    async with open_client(ollama(config)) as client, background_tasks() as tasks:
        name = model.removesuffix(":latest")
        embedder = ServedEmbedder("ollama", name, OllamaEmbeddingApi(client, name), tasks)
        with suppress(ProviderError, TimeoutError):
            async with asyncio.timeout(1):
                await embedder.load_dimensions()
        yield embedder


async def has_model(config: Config, model: str, seconds: float) -> bool:
    """Return whether Ollama answers within `seconds` and has `model`."""
    try:
        async with asyncio.timeout(seconds), open_client(ollama(config)) as client:
            tags = await client.call("GET", "/api/tags", _Tags)
    except (ProviderError, TimeoutError):
        return False
    return any(entry.name.removesuffix(":latest") == model for entry in tags.models or [])


# --- JSON of the API ----------------------------------------------------------------------------


class _Entry(BaseModel):
    name: str


class _Tags(BaseModel):
    models: list[_Entry] | None = Field(default=None, max_length=MAX_MODELS)


class _Show(WireModel):
    capabilities: list[str] = Field(default_factory=list[str])
    model_info: dict[str, object] = Field(default_factory=dict[str, object])

    @property
    def dimensions(self) -> int | None:
        """The key begins with the architecture, as in `nomic-bert.embedding_length`."""
        for key, value in self.model_info.items():
            if key.endswith(".embedding_length") and isinstance(value, int) and value > 0:
                return value
        return None


class _Embedded(BaseModel):
    embeddings: list[list[float]]
