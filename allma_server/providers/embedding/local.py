"""The bundled embedding model: all-MiniLM-L6-v2 with 7-bit weights, run by onnxruntime."""

import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import numpy as np

from allma_server.config import Config
from allma_server.errors import InvalidArgument, ProviderError
from allma_server.ports import Vector
from allma_server.providers.embedding.in_process import (
    InProcessEmbedder,
    ModelFacts,
    open_in_process,
)
from allma_server.providers.onnx import OnnxModel

MODEL = "all-MiniLM-L6-v2-int7"
REPLACED_MODELS = ("all-MiniLM-L6-v2-int8",)
"""Models of earlier versions, whose files are no longer bundled.

They were made from the same weights, so that this model's vectors are comparable with theirs (the
cosine of the same text's vectors is .992) and can search them until the index has its own. nDCG@10
of int8 vectors, searched by int8 and by int7: cranfield .501 and .500, med .786 and .786, cacm .421
and .422, squad .768 and .767, cosqa .606 and .601, chunking .645 and .660.
"""
DIMENSIONS = 384
MAX_TOKENS = 256

FOLDER = Path(__file__).parent / "minilm_int7"
SHA256: Mapping[str, str] = {
    "model.onnx": "4932d9efbe5a66bb3a437086d8b7b2df6a00aaf826ea51fb24dcfdd5e4c339f4",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


@asynccontextmanager
async def open_local(model: str, config: Config) -> AsyncGenerator[InProcessEmbedder]:
    """Open the bundled model, also by the name of one that it replaced.

    Raises:
        InvalidArgument: `model` is no bundled one.
    """
    if model not in (MODEL, *REPLACED_MODELS):
        raise InvalidArgument(
            f"There is no bundled model {model!r}.", f"The bundled model is local/{MODEL}."
        )
    facts = ModelFacts(f"local/{model}", DIMENSIONS, MAX_TOKENS, FOLDER / "tokenizer.json")
    async with open_in_process(facts, BundledModel, config) as embedder:
        yield embedder


def current_name(name: str) -> str:
    """Return the name of the embedder that replaced `name`, or the same name."""
    provider, _, model = name.partition("/")
    return f"local/{MODEL}" if provider == "local" and model in REPLACED_MODELS else name


class BundledModel:
    """The loaded model; implements `EmbeddingModel`."""

    def __init__(self) -> None:
        _verify()
        self._model = OnnxModel(
            FOLDER / "model.onnx",
            FOLDER / "tokenizer.json",
            MAX_TOKENS,
            hint="Choose another embedder, such as `allma config set embedder "
            "ollama/nomic-embed-text`.",
        )

    def embed(self, text: str) -> Vector:
        """Return the L2-normalised mean of the token vectors, as sentence-transformers does."""
        mean: Vector = self._model.run(text).mean(axis=0, dtype=np.float32)
        mean /= np.linalg.norm(mean)
        return mean


@cache
def _verify() -> None:
    """Raise ProviderError unless the model's files are the shipped ones."""
    for name, expected in SHA256.items():
        try:
            with (FOLDER / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as exc:
            raise ProviderError(
                f"The file {name} of the bundled model cannot be read: {exc}.",
                "Reinstall allma-server.",
            ) from exc
        if found != expected:
            raise ProviderError(
                f"The file {name} of the bundled model is damaged.", "Reinstall allma-server."
            )
