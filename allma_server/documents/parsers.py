"""The parser pool of an engine, which is opened by the first file."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from allma_server.config import Config
from allma_server.documents.chunking import CHUNKER_VERSION
from allma_server.documents.pool import open_parser_pool
from allma_server.ports import Embedder, Parser
from allma_server.secrets import MASKED


class Parsers:
    """The parser pool for the current embedder, whose token limit bounds the chunk size."""

    def __init__(
        self,
        config: Config,
        embedder: Callable[[], Awaitable[Embedder]],
        stack: contextlib.AsyncExitStack,
    ) -> None:
        self._config = config
        self._embedder = embedder
        self._stack = stack
        self._opening = asyncio.Lock()
        self._open: tuple[str, Parser] | None = None

    async def opened(self) -> Parser:
        """Return the pool for the current embedder; processes of a former one end when idle."""
        async with self._opening:
            embedder = await self._embedder()
            if self._open is None or self._open[0] != embedder.identity:
                pool = await self._stack.enter_async_context(
                    open_parser_pool(self._config, embedder)
                )
                self._open = embedder.identity, pool
            return self._open[1]

    async def chunking_fingerprint(self) -> str:
        """Return a value that changes with chunking; then all documents count as changed."""
        embedder = await self._embedder()
        config = self._config
        parts = (CHUNKER_VERSION, config.chunk_size, config.chunk_overlap, embedder.max_tokens)
        if config.mask_secrets:
            parts += (MASKED,)
        return ":".join(map(str, parts))
