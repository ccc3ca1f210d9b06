"""A deterministic embedder without a model, for fast tests.

Feature hashing of words (Weinberger et al., 2009): texts are similar if they share words; it knows
no synonyms.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from hashlib import blake2b
from pathlib import Path

import numpy as np

from allma_server.config import Config
from allma_server.errors import InvalidArgument
from allma_server.ports import Vector, Vectors

MODEL = "words-256"
DIMENSIONS = 256

_WORD = re.compile(r"\w+")


class HashingEmbedder:
    """Each word adds 1 or -1 to the dimension given by its hash."""

    identity = f"hashing/{MODEL}"
    dimensions = DIMENSIONS
    max_tokens = 8192
    tokenizer_file: Path | None = None

    async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """Return one row per text, in order."""
        del urgent
        return await asyncio.to_thread(_embed, texts)

    async def embed_query(self, text: str) -> Vector:
        return _embed([text])[0]


@asynccontextmanager
async def open_hashing(model: str, config: Config) -> AsyncGenerator[HashingEmbedder]:
    """Open the hashing embedder; it has one model and no settings."""
    if model != MODEL:
        raise InvalidArgument(
            f"There is no hashing embedder {model!r}.", f"The only one is hashing/{MODEL}."
        )
    yield HashingEmbedder()


def _embed(texts: Sequence[str]) -> Vectors:
    vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
    for row, text in zip(vectors, texts, strict=True):
        for word in _WORD.findall(text.lower()):
            digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=2).digest()
            row[digest[0]] += 1 if digest[1] & 1 else -1
        length = float(np.linalg.norm(row))
        if length:
            row /= length
        else:
            row[0] = 1  # a text without words needs a direction, too
    return vectors
