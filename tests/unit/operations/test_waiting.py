"""A client is notified that its question waits for the model, with the reason."""

import asyncio

import pytest

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call, NullProgress, waiting
from allma_server.types import LOCAL


class Heard(NullProgress):
    def __init__(self) -> None:
        self.reports: list[str] = []
        self.reported = asyncio.Event()

    async def report(self, done: int, total: int | None, message: str) -> None:
        self.reports.append(message)
        self.reported.set()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "NEXT_SECONDS", 0.01)


async def test_waiting_behind_another_question_is_reported(engine: Engine) -> None:
    one, two = Heard(), Heard()
    async with (
        waiting.report_waiting(engine, one),
        waiting.report_waiting(engine, two) as second,
    ):
        async with asyncio.timeout(10):
            await one.reported.wait()
            await two.reported.wait()
        assert set(one.reports) | set(two.reports) == {waiting.BEHIND_ANOTHER}
        await second.text("first word")
        await asyncio.sleep(0)
        count = len(two.reports)
        one.reported.clear()
        async with asyncio.timeout(10):
            await one.reported.wait()
        assert len(two.reports) == count, "who is answered no longer waits"
    assert not engine.questions


async def test_the_wait_does_not_change_the_answer(engine: Engine) -> None:
    heard = Heard()
    answer = await BY_NAME["ask"](
        Call(engine, LOCAL, heard), {"question": "Hello", "use_rag": False}
    )
    assert answer.text and not engine.questions
