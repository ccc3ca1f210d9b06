"""Embed with `/v1/embeddings` of any OpenAI-compatible server."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from pydantic import BaseModel

from allma_server._internal.tasks import background_tasks
from allma_server.config import Config
from allma_server.providers.embedding.served import ServedEmbedder
from allma_server.providers.http import ProviderClient, open_client, openai

EMBED_SECONDS = 300.0


class OpenAIEmbeddingApi:
    """The embedding call of OpenAI's API for one model; implements `EmbeddingApi`."""

    def __init__(self, client: ProviderClient, model: str) -> None:
        self._client = client
        self._model = model

    async def dimensions(self) -> int | None:
        """Return None, as the API does not describe its models."""
        return None

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        answer = await self._client.call(
            "POST",
            "embeddings",
            _Embedded,
            {"model": self._model, "input": list(texts), "encoding_format": "float"},
            model=self._model,
            seconds=EMBED_SECONDS,
        )
        rows = answer.data
        if sorted(row.index for row in rows) == list(range(len(rows))):
            rows = sorted(rows, key=lambda row: row.index)
        return [row.embedding for row in rows]


@asynccontextmanager
async def open_openai(model: str, config: Config) -> AsyncGenerator[ServedEmbedder]:
    """Open an embedding model of the server at `openai_url`; it need not be running yet.

    Raises:
        InvalidArgument: `openai_url` is not set.
    """
    async with open_client(openai(config)) as client, background_tasks() as tasks:
        yield ServedEmbedder("openai", model, OpenAIEmbeddingApi(client, model), tasks)


class _Row(BaseModel):
    index: int = 0
    embedding: list[float]


class _Embedded(BaseModel):
    data: list[_Row]
