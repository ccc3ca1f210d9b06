"""Measure the time to the first word against a fake model server in the same process.

    python -m tests.benchmarks.first_word [-n N]

The server notes when a request for an answer arrives and when it sends its tokens, one every 20 ms.
Shown are, over N questions: the milliseconds from the question to that request without those of the
search (goal: at most 50), the CPU milliseconds of this process until then with those of the search
(they tell more on a busy machine), and how many tokens the server had sent when the first text was
shown (goal: at most 3). The index is small and the embedder a hash, so that little else takes time.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from allma_server.operations import BY_NAME, Call, NullProgress
from allma_server.types import LOCAL, Answer
from tests.ollama.wire import Exchange
from tests.unit.answering.test_ask import QUESTION, asking, line

TOKEN_SECONDS = 0.02
ANSWER = "According to the sources , the lighthouse of Kernow has seven gates [1] .".split(" ")


class Timed(NullProgress):
    """Notes how many tokens had been sent when the first text was shown."""

    def __init__(self) -> None:
        self.arrived = self.spent = 0.0
        self.sent = 0
        self.sent_at_first_text: int | None = None

    async def text(self, delta: str) -> None:
        if self.sent_at_first_text is None:
            self.sent_at_first_text = self.sent


async def run(count: int, folder: Path) -> None:
    current = Timed()

    async def chat(exchange: Exchange) -> None:
        current.arrived, current.spent = time.monotonic(), time.process_time()
        await exchange.begin()
        for token in ANSWER:
            current.sent += 1
            await exchange.lines(line(f" {token}"))
            await asyncio.sleep(TOKEN_SECONDS)
        await exchange.lines(line(done="stop"))

    before, cpu, held = list[float](), list[float](), list[int]()
    async with asking(chat, folder) as (engine, _):
        for _ in range(count):
            current = Timed()
            began, spent = time.monotonic(), time.process_time()
            answer: Answer = await BY_NAME["ask"](
                Call(engine, LOCAL, current), {"question": QUESTION}
            )
            before.append((current.arrived - began) * 1000 - answer.stats.retrieval_ms)
            cpu.append((current.spent - spent) * 1000)
            held.append(current.sent_at_first_text or len(ANSWER))
    print(f"milliseconds to the request, without the search: {_spread(before)}")
    print(f"CPU milliseconds to the request, with the search: {_spread(cpu)}")
    print(f"tokens sent when the first text is shown:        {_spread(held)}")


def _spread(values: list[float] | list[int]) -> str:
    return f"median {statistics.median(values):.1f}, largest {max(values):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-n", type=int, default=30, help="questions")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(parser.parse_args().n, Path(folder)))


if __name__ == "__main__":
    main()
