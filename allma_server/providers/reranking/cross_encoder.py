"""A cross-encoder in ONNX form: a network that reads question and passage together.

Such as cross-encoder/ms-marco-MiniLM-L6-v2 or BAAI/bge-reranker-base (Nogueira and Cho, 2019), in
the form that Hugging Face's `optimum` exports: `model.onnx`, alone or in a folder `onnx`, and
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

from allma_server.errors import ModelNotFound, ModelUnsuitable
from allma_server.providers.onnx import Network
from allma_server.providers.reranking.listwise import Chat
from allma_server.types import Passage

MAX_TOKENS = 512
"""What these networks take of question and passage together; chunks are shorter."""

_KNOWN = frozenset({"input_ids", "attention_mask", "token_type_ids"})


class CrossEncoder:
    """Scores pairs in a thread of its own; implements `ports.Reranker`. Loaded at its first use."""

    def __init__(self, place: Path, executor: ThreadPoolExecutor) -> None:
        self.name = f"onnx/{place}"
        self._place = place
        self._executor = executor
        self._network: Network | None = None

    async def rerank(self, question: str, passages: Sequence[Passage]) -> list[float]:
        """The network's logits, unbounded. Stops between two passages when it is cancelled.

        Raises:
            ModelNotFound: there is no such file, or no tokenizer beside it.
            ModelUnsuitable: it is no cross-encoder.
            ProviderError: it cannot be loaded.
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
        if self._network is None:
            self._network = _loaded(self._place)
        scores: list[float] = []
        for text in texts:
            if stopped.is_set():
                break
            scores.append(_relevance(self._network.run(question, text), self._place))
        return scores


@asynccontextmanager
async def open_cross_encoder(path: str, chat: Chat) -> AsyncGenerator[CrossEncoder]:
    """The network at `path`: an ONNX file or a folder that has one."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="rerank")
    try:
        yield CrossEncoder(Path(path), executor)
    finally:
        await asyncio.to_thread(executor.shutdown, cancel_futures=True)


def _loaded(place: Path) -> Network:
    model = place = place.expanduser()
    if place.is_dir():
        model = next(
            (p for p in (place / "model.onnx", place / "onnx/model.onnx") if p.exists()),
            place / "model.onnx",
        )
    beside = (model.parent / "tokenizer.json", model.parent.parent / "tokenizer.json")
    tokenizer = next((path for path in beside if path.exists()), None)
    if not model.is_file() or tokenizer is None:
        missing = beside[0] if model.is_file() else model
        raise ModelNotFound(
            f"The reranker's file {missing} does not exist.",
            "Give `allma config set reranker onnx/PATH` a folder with model.onnx and "
            "tokenizer.json.",
        )
    network = Network(model, tokenizer, MAX_TOKENS)
    if not {"input_ids"} <= network.inputs <= _KNOWN:
        raise ModelUnsuitable(
            f"{model} is no cross-encoder: it wants {', '.join(sorted(network.inputs))}."
        )
    return network


def _relevance(output: NDArray[np.float32], place: Path) -> float:
    """One logit, or the lead of `relevant` over `not relevant` where there are two."""
    logits = output.reshape(-1)
    if output.ndim > 1 or len(logits) > 2:
        raise ModelUnsuitable(
            f"{place} is no cross-encoder: it gives {' x '.join(map(str, output.shape))} numbers "
            "for a passage instead of one or two."
        )
    return float(logits[-1] - logits[0]) if len(logits) == 2 else float(logits[0])
