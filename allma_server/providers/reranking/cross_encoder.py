"""Rerank with a cross-encoder in ONNX format, which reads question and passage together.

For example cross-encoder/ms-marco-MiniLM-L6-v2 or BAAI/bge-reranker-base (Nogueira and Cho, 2019),
as exported by Hugging Face's `optimum`: `model.onnx`, alone or in a folder `onnx`, and
`tokenizer.json`.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from allma_server._internal.special_files import special_kind
from allma_server.errors import ModelNotFound, ModelUnsuitable
from allma_server.providers.onnx import TEXT_INPUTS, OnnxModel
from allma_server.providers.reranking.listwise import Complete
from allma_server.types import Passage

MAX_TOKENS = 512
"""Limit of these models for question and passage together; chunks are shorter."""


class CrossEncoder:
    """Scores pairs of question and passage in one thread. The model is loaded on first use."""

    def __init__(self, path: Path, executor: ThreadPoolExecutor) -> None:
        self.name = f"onnx/{path}"
        self._path = path
        self._executor = executor
        self._model: OnnxModel | None = None

    async def rerank(self, question: str, passages: Sequence[Passage]) -> list[float]:
        """Return the logits, which are unbounded. Cancelling stops between two passages.

        Raises:
            ModelNotFound: the model or its tokenizer does not exist.
            ModelUnsuitable: the model is not a cross-encoder.
            ProviderError: the model cannot be loaded.
        """
        stopped = threading.Event()
        texts = ["\n".join((*passage.heading[-1:], passage.text)) for passage in passages]
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                self._executor, self._scores, question, texts, stopped
            )
        finally:
            stopped.set()

    def _scores(self, question: str, texts: Sequence[str], stopped: threading.Event) -> list[float]:
        if self._model is None:
            self._model = _load(self._path)
        scores: list[float] = []
        for text in texts:
            if stopped.is_set():
                break
            scores.append(_relevance(self._model.run(question, text), self._path))
        return scores


@asynccontextmanager
async def open_cross_encoder(path: str, complete: Complete) -> AsyncGenerator[CrossEncoder]:
    """Open the cross-encoder at `path`: an ONNX file, or a folder that contains one."""
    del complete
    executor = ThreadPoolExecutor(1, thread_name_prefix="rerank")
    try:
        yield CrossEncoder(Path(path), executor)
    finally:
        await asyncio.to_thread(executor.shutdown, cancel_futures=True)


def find_files(path: Path) -> tuple[Path, Path]:
    """Return the model's file and its tokenizer's; blocks.

    Raises:
        ModelNotFound: one of them does not exist.
    """
    model = path = path.expanduser()
    if path.is_dir():
        model = next(
            (p for p in (path / "model.onnx", path / "onnx/model.onnx") if p.exists()),
            path / "model.onnx",
        )
    beside = (model.parent / "tokenizer.json", model.parent.parent / "tokenizer.json")
    tokenizer = next((file for file in beside if file.exists()), beside[0])
    for file in (model, tokenizer):
        if not file.is_file():
            kind = special_kind(file)
            why = f"is {kind}, not a regular file" if kind else "does not exist"
            raise ModelNotFound(
                f"The reranker's file {file} {why}.",
                "Give `allma config set reranker onnx/PATH` a folder with model.onnx and "
                "tokenizer.json.",
            )
    return model, tokenizer


def _load(path: Path) -> OnnxModel:
    model, tokenizer = find_files(path)
    loaded = OnnxModel(model, tokenizer, MAX_TOKENS)
    if "input_ids" not in loaded.inputs or loaded.inputs.keys() - TEXT_INPUTS:
        raise ModelUnsuitable(
            f"{model} is not a cross-encoder: its inputs are {', '.join(sorted(loaded.inputs))}."
        )
    return loaded


def _relevance(output: NDArray[np.float32], path: Path) -> float:
    """Return the only logit, or the difference of `relevant` and `not relevant`."""
    logits = output.reshape(-1)
    if output.ndim > 1 or len(logits) > 2:
        raise ModelUnsuitable(
            f"{path} is not a cross-encoder: it returns "
            f"{' x '.join(map(str, output.shape))} numbers for a passage instead of one or two."
        )
    return float(logits[-1] - logits[0]) if len(logits) == 2 else float(logits[0])
