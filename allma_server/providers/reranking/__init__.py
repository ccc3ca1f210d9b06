"""Rerankers: a second opinion on the order of the best passages, by a model the user names.

Their words (`retrieve/rerank.py`) have ordered the passages before, and theirs is the order that
stays when a reranker cannot be had or takes too long. Adding one is one file here and one line in
RERANKERS.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from allma_server.errors import InvalidArgument
from allma_server.ports import Reranker
from allma_server.providers.reranking.cross_encoder import open_cross_encoder
from allma_server.providers.reranking.listwise import Chat, open_listwise

WORDS = "words"
"""The name for no second opinion."""

RERANKERS: Mapping[str, Callable[[str, Chat], AbstractAsyncContextManager[Reranker]]] = {
    "chat": open_listwise,
    "onnx": open_cross_encoder,
}


@asynccontextmanager
async def open_reranker(name: str, chat: Chat) -> AsyncGenerator[Reranker | None]:
    """The reranker `name`, or None for `words`: `chat`, `chat/MODEL` or `onnx/PATH`.

    Opening succeeds while its model is away: the search says so.

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
    async with RERANKERS[provider](model, chat) as reranker:
        yield reranker
