"""Embedding through Ollama's `/api/embed`."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from pydantic import BaseModel, Field

from allma_server._internal.tasks import background_tasks
from allma_server.config import Config
from allma_server.errors import ModelUnsuitable, ProviderError
from allma_server.providers.embedding.served import ServedEmbedder
from allma_server.providers.http import ProviderClient, WireModel, ollama, open_client

# The model may have to be loaded first, and a batch worked through on a busy CPU.
EMBED_SECONDS = 300.0
MOST_MODELS = 5000


class OllamaWire:
    """The embedding calls of Ollama's API for one model."""

    def __init__(self, client: ProviderClient, model: str) -> None:
        self._client = client
        self._model = model

    async def dimensions(self) -> int | None:
        """Raises ModelUnsuitable for a model that is not made for embedding."""
        shown = await self._client.call(
            "POST", "/api/show", _Show, {"model": self._model}, model=self._model
        )
        if shown.capabilities and "embedding" not in shown.capabilities:
            raise ModelUnsuitable(
                f"The model {self._model} cannot embed; it is made for "
                f"{', '.join(shown.capabilities)}.",
                "`allma models pull nomic-embed-text` gets one that can.",
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
    """An embedding model of the Ollama server at `ollama_url`, which need not be running yet."""
    async with open_client(ollama(config)) as client, background_tasks() as tasks:
        name = model.removesuffix(":latest")
        embedder = ServedEmbedder("ollama", name, OllamaWire(client, name), tasks)
        with suppress(ProviderError, TimeoutError):
            async with asyncio.timeout(1):
                await embedder.learn()
        yield embedder


async def has_model(config: Config, model: str, seconds: float) -> bool:
    """Whether Ollama answers within `seconds` and has `model`."""
    try:
        async with asyncio.timeout(seconds), open_client(ollama(config)) as client:
            tags = await client.call("GET", "/api/tags", _Tags)
    except (ProviderError, TimeoutError):
        return False
    return any(entry.name.removesuffix(":latest") == model for entry in tags.models or [])


# --- the wire -----------------------------------------------------------------------------------


class _Entry(BaseModel):
    name: str


class _Tags(BaseModel):
    models: list[_Entry] | None = Field(default=None, max_length=MOST_MODELS)


class _Show(WireModel):
    capabilities: list[str] = Field(default_factory=list[str])
    model_info: dict[str, Any] = Field(default_factory=dict[str, Any])

    @property
    def dimensions(self) -> int | None:
        """Stands under the architecture's name, as in `nomic-bert.embedding_length`."""
        for key, value in self.model_info.items():
            if key.endswith(".embedding_length") and isinstance(value, int) and value > 0:
                return value
        return None


class _Embedded(BaseModel):
    embeddings: list[list[float]]
