"""Rerankers: models that reorder the best passages of a search.

Search has rescored the passages by their words before (`search/rescoring.py`); that order is used
if the reranker is unavailable or too slow. To add one, add a file here and a line in RERANKERS.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from allma_server.errors import InvalidArgument
from allma_server.ports import Reranker
from allma_server.providers.reranking.cross_encoder import open_cross_encoder
from allma_server.providers.reranking.listwise import Complete, open_listwise

WORDS = "words"
"""The setting for no reranker."""

RERANKERS: Mapping[str, Callable[[str, Complete], AbstractAsyncContextManager[Reranker]]] = {
    "chat": open_listwise,
    "onnx": open_cross_encoder,
}


@asynccontextmanager
async def open_reranker(name: str, complete: Complete) -> AsyncGenerator[Reranker | None]:
    """Open the reranker `name`: `chat`, `chat/MODEL`, `onnx/PATH`, or `words` for None.

    Opening succeeds even if its model is unavailable; reranking reports that.

    Args:
        name: as in the settings.
        complete: asks a chat model.

    Raises:
        InvalidArgument: there is no such reranker.
    """
    if name == WORDS:
        yield None
        return
    provider, _, model = name.partition("/")
    if provider not in RERANKERS or (provider == "onnx" and not model):
        raise InvalidArgument(
            f"{name!r} does not name a reranker.",
            "Write words, chat, chat/MODEL or onnx/PATH, where PATH is a folder with model.onnx "
            "and tokenizer.json.",
        )
    async with RERANKERS[provider](model, complete) as reranker:
        yield reranker
