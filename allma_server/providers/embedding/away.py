"""Stand for an embedder that cannot be opened, as when the folder of its model is not there.

The data directory knows what is needed without the model: files are then indexed for keyword
search, and get their vectors when the embedder is back, as with a server that is away.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from allma_server.errors import ProviderError
from allma_server.ports import Embedder, Vector, Vectors
from allma_server.types import Separation

MAX_STORED = 1 << 20
"""Limit of numbers in stored facts, which may come from an archive."""


class EmbedderFacts(BaseModel):
    """What is stored of an embedder that was opened; `name` is `provider/model`.

    `separation` is None until it was measured.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    identity: str
    dimensions: int = Field(ge=0, le=MAX_STORED)
    max_tokens: int = Field(gt=0, le=MAX_STORED)
    separation: Separation | None = None

    @classmethod
    def of(cls, name: str, embedder: Embedder) -> "EmbedderFacts":
        return cls(
            name=name,
            identity=embedder.identity,
            dimensions=embedder.dimensions,
            max_tokens=embedder.max_tokens,
        )


class AwayEmbedder:
    """Raises the reason from both embed methods."""

    tokenizer_file: Path | None = None

    def __init__(self, facts: EmbedderFacts, reason: ProviderError) -> None:
        self.identity = facts.identity
        self.dimensions = facts.dimensions
        self.max_tokens = facts.max_tokens
        self.reason = reason

    async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        del texts, urgent
        raise self._again()

    async def embed_query(self, text: str) -> Vector:
        del text
        raise self._again()

    def _again(self) -> ProviderError:
        return type(self.reason)(self.reason.message, self.reason.hint)
