"""Report to a client that its question waits for the model."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

from allma_server._internal.tasks import background_tasks
from allma_server.engine import Engine
from allma_server.ports import Progress
from allma_server.types import Citation

FIRST_SECONDS, NEXT_SECONDS = 2.0, 10.0
"""Delay before the first report, and between later ones."""

BEHIND_ANOTHER = "Waiting for the model, which answers another question"
FOR_THE_MODEL = "Waiting for the model"


@asynccontextmanager
async def report_waiting(engine: Engine, progress: Progress) -> AsyncGenerator[Progress]:
    """Return the progress, and report on it why no text has arrived yet.

    Meanwhile the question comes before embedding and before requests of the background.
    """
    watched = _WatchedProgress(progress)
    engine.questions.add(watched)
    for task in engine.background.requests:
        task.cancel()
    try:
        with engine.ingestion.pause_embedding():
            async with background_tasks() as tasks:
                reports = tasks.create_task(_report(engine, progress))
                watched.first_text.add_done_callback(lambda _: reports.cancel())
                yield watched
    finally:
        engine.questions.discard(watched)


async def _report(engine: Engine, progress: Progress) -> None:
    await asyncio.sleep(FIRST_SECONDS)
    with suppress(ConnectionError):  # the answer notices a closed connection itself
        while True:
            others = len(engine.questions) > 1
            await progress.report(0, None, BEHIND_ANOTHER if others else FOR_THE_MODEL)
            await asyncio.sleep(NEXT_SECONDS)


class _WatchedProgress:
    """Progress that notes the first text."""

    def __init__(self, progress: Progress) -> None:
        self.first_text: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._progress = progress

    async def report(self, done: int, total: int | None, message: str) -> None:
        await self._progress.report(done, total, message)

    async def started(self, conversation_id: str, message_id: str) -> None:
        await self._progress.started(conversation_id, message_id)

    async def thinking(self, delta: str) -> None:
        self._has_begun()
        await self._progress.thinking(delta)

    async def text(self, delta: str) -> None:
        self._has_begun()
        await self._progress.text(delta)

    async def sources(self, citations: Sequence[Citation]) -> None:
        await self._progress.sources(citations)

    def _has_begun(self) -> None:
        if not self.first_text.done():
            self.first_text.set_result(None)
