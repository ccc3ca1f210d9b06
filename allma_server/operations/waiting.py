"""What a client is told while its question waits for the model."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

from allma_server._internal.tasks import background_tasks
from allma_server.engine import Engine
from allma_server.ports import Progress
from allma_server.types import Citation

FIRST_SECONDS, NEXT_SECONDS = 2.0, 10.0
"""After which the client is told first, and again, that it waits."""

BEHIND_ANOTHER = "Waiting: the model is answering another question"
FOR_THE_MODEL = "Waiting for the model"


@asynccontextmanager
async def told_while_waiting(engine: Engine, progress: Progress) -> AsyncGenerator[Progress]:
    """The same progress, on which is also said that nothing has been written yet, and why."""
    watched = _Watched(progress)
    engine.questions.add(watched)
    try:
        async with background_tasks() as tasks:
            telling = tasks.create_task(_tell(engine, progress))
            watched.begun.add_done_callback(lambda _: telling.cancel())
            yield watched
    finally:
        engine.questions.discard(watched)


async def _tell(engine: Engine, progress: Progress) -> None:
    await asyncio.sleep(FIRST_SECONDS)
    with suppress(ConnectionError):  # who has left learns it from the answer
        while True:
            others = len(engine.questions) > 1
            await progress.report(0, None, BEHIND_ANOTHER if others else FOR_THE_MODEL)
            await asyncio.sleep(NEXT_SECONDS)


class _Watched:
    """Progress that knows when the first word has come."""

    def __init__(self, progress: Progress) -> None:
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._progress = progress

    async def report(self, done: int, total: int | None, message: str) -> None:
        await self._progress.report(done, total, message)

    async def started(self, conversation_id: str, message_id: str) -> None:
        await self._progress.started(conversation_id, message_id)

    async def text(self, delta: str) -> None:
        if not self.begun.done():
            self.begun.set_result(None)
        await self._progress.text(delta)

    async def sources(self, citations: Sequence[Citation]) -> None:
        await self._progress.sources(citations)
