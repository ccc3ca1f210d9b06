"""Embed with a model in ONNX format in a folder of the user's, without a server.

The folder has the layout of sentence-transformers (`model_folder.py`), as most embedding models are
published: multilingual-e5, bge, arctic. Texts are run one at a time (`in_process.py`).
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import numpy as np
from numpy.typing import NDArray

from allma_server.config import Config
from allma_server.errors import InputRefused, ModelUnsuitable, ProviderError
from allma_server.ports import Vector
from allma_server.providers.embedding.in_process import (
    InProcessEmbedder,
    ModelFacts,
    open_in_process,
)
from allma_server.providers.embedding.model_folder import LAYOUT, ModelFolder, read_model_folder
from allma_server.providers.onnx import TEXT_INPUTS, OnnxModel

_OTHER = "Choose another embedding model for texts, or another export of this one."
_POOLED = "sentence_embedding"
_OUTPUTS = (_POOLED, "last_hidden_state", "token_embeddings")
"""Names of usable outputs, the best first: some exports contain the pooling as well."""


@asynccontextmanager
async def open_onnx(path: str, config: Config) -> AsyncGenerator[InProcessEmbedder]:
    """Open the model in a folder: read what it consists of, and load it with the first text.

    The identity is a digest of the files, so that the vectors of a changed model are not compared
    with those of the former, and a folder can be moved.

    Raises:
        InvalidArgument: `path` is no absolute path.
        ModelNotFound: there is no such folder, or it lacks a file.
        ModelUnsuitable: a file cannot be used.
    """
    folder = await asyncio.to_thread(read_model_folder, path)
    facts = ModelFacts(
        f"onnx/{folder.digest}",
        folder.dimensions,
        folder.max_tokens,
        folder.tokenizer,
        folder.document,
        folder.query,
    )
    async with open_in_process(facts, lambda: FolderModel(folder), config) as embedder:
        yield embedder


class FolderModel:
    """A loaded model of a folder; implements `EmbeddingModel`.

    Raises:
        ModelUnsuitable: the model cannot be loaded, or does not embed texts.
    """

    def __init__(self, folder: ModelFolder) -> None:
        self._folder = folder
        if folder.has_changed():
            raise ModelUnsuitable(
                f"The files of the model in {folder.path} have changed since it was opened.",
                "`allma daemon restart` opens it anew and embeds all documents again.",
            )
        try:
            self._model = OnnxModel(
                folder.model, folder.tokenizer, folder.max_tokens, outputs=_OUTPUTS
            )
        except ProviderError as exc:
            raise ModelUnsuitable(exc.message, LAYOUT) from exc
        self._check_inputs()
        try:
            self.embed("Does the model embed?")
        except InputRefused as exc:
            raise ModelUnsuitable(exc.message, exc.hint) from exc

    def embed(self, text: str) -> Vector:
        """Return the L2-normalised vector of a text.

        Raises:
            InputRefused: the model fails, or gives no usable vector.
        """
        try:
            output = self._model.run(text)
        except ProviderError as exc:
            raise InputRefused(
                f"The model in {self._folder.path} fails: {exc.message}", exc.hint
            ) from exc
        with np.errstate(all="ignore"):  # of numbers that are not finite
            pooled = self._pooled(output)
            length = float(np.linalg.norm(pooled))
        if not (length > 0 and np.isfinite(length)):
            raise InputRefused(
                f"The model in {self._folder.path} gives an unusable vector: all zeros, or not "
                "finite.",
                _OTHER,
            )
        return pooled / np.float32(length)

    def _pooled(self, output: NDArray[np.float32]) -> Vector:
        """Return one vector for the output of one text: a vector, or one for each token."""
        folder = self._folder
        if folder.is_projected and self._model.output != _POOLED:
            raise ModelUnsuitable(
                f"The model in {folder.path} has a dense layer after the pooling, which its ONNX "
                "file does not contain.",
                "Export it with that layer (as `optimum-cli export onnx` does), or choose another.",
            )
        if output.ndim == 2 and len(output):
            if folder.pooling == "cls":
                output = output[0]
            elif folder.pooling == "max":
                output = output.max(axis=0)
            else:
                output = output.mean(axis=0, dtype=np.float32)
        if output.shape != (folder.dimensions,):
            raise ModelUnsuitable(
                f"The output {self._model.output} of the model in {folder.path} has the shape "
                f"{output.shape} instead of {folder.dimensions} dimensions.",
                _OTHER,
            )
        return output

    def _check_inputs(self) -> None:
        """Raise ModelUnsuitable unless the model takes one text in tokens."""
        inputs, path = self._model.inputs, self._folder.path
        if "input_ids" not in inputs or inputs.keys() - TEXT_INPUTS:
            raise ModelUnsuitable(
                f"The model in {path} does not take text alone: its inputs are "
                f"{', '.join(sorted(inputs)[:8])}.",
                _OTHER,
            )
        if self._model.batch_size not in (None, 1):
            raise ModelUnsuitable(
                f"The model in {path} takes exactly {self._model.batch_size} texts at a time.",
                "Export it with a batch size of 1 or a free one.",
            )
        if self._model.length is not None and "attention_mask" not in inputs:
            raise ModelUnsuitable(
                f"The model in {path} takes texts of exactly {self._model.length} tokens, and no "
                "attention_mask that would tell where a text ends.",
                _OTHER,
            )
