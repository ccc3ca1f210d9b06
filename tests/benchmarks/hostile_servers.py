"""The errors for broken and hostile model servers, with the memory and time they take.

`python -m tests.benchmarks.hostile_servers [--json]` runs every case of `tests/ollama/hostile.py`
against the real client. Silence is waited out for 1 or 2 seconds here, not for minutes; in all
other cases, where a slow machine must not be taken for a silent server, as long as in the product.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from allma_server.config import Config
from allma_server.errors import ProviderError, by_code
from allma_server.providers.chat import reply
from allma_server.providers.chat.ollama import open_ollama
from allma_server.providers.chat.openai import open_openai
from allma_server.providers.embedding import open_embedder
from allma_server.types import ChatMessage
from tests.ollama.hostile import CASES, Call, Case, hostile

QUESTION = [ChatMessage("user", "Why?")]
STATUS = Path("/proc/self/status")
PATIENCE = (reply.FIRST_TOKEN_SECONDS, reply.NEXT_TOKEN_SECONDS, reply.REPLY_SECONDS)
SILENCE = (2.0, 1.0, 4.0)
MEASURED = STATUS.exists()
"""Whether this system tells the highest memory of a process."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case. `grown_mb`: memory at its highest over that before."""

    case: str
    kind: str
    said: str
    seconds: float
    grown_mb: float | None


async def run(name: str, case: Case) -> Result:
    limits = SILENCE if case.is_silent else PATIENCE
    reply.FIRST_TOKEN_SECONDS, reply.NEXT_TOKEN_SECONDS, reply.REPLY_SECONDS = limits
    async with hostile(case) as url:
        before = _highest_mb(reset=True)
        began = time.monotonic()
        try:
            await _called(case.call, Config(ollama_url=url, openai_url=url))
        except ProviderError as exc:
            kind, said = exc.code, exc.message.replace(url, "URL")
        else:
            kind, said = "no error", ""
        seconds = time.monotonic() - began
        after = _highest_mb()
    grown = after - before if before is not None and after is not None else None
    return Result(name, kind, said, round(seconds, 2), grown and round(grown, 1))


async def _called(call: Call, config: Config) -> None:
    match call:
        case "embed" | "openai embed":
            provider = "ollama" if call == "embed" else "openai"
            async with open_embedder(f"{provider}/m", config) as embedder:
                await embedder.embed_documents(["a", "b"])
        case "openai":
            async with open_openai(config) as chat:
                async for _ in chat.stream("m", QUESTION, max_tokens=1024):
                    pass
        case _:
            async with open_ollama(config) as chat:
                if call == "chat":
                    async for _ in chat.stream("m", QUESTION, max_tokens=1024):
                        pass
                elif call == "pull":
                    async for _ in chat.pull("m"):
                        pass
                elif call == "show":
                    await chat.show("m")
                else:
                    await (chat.version() if call == "version" else chat.list())


def _highest_mb(*, reset: bool = False) -> float | None:
    """The peak memory of this process; `reset` starts a new peak."""
    if not MEASURED:
        return None
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(row for row in STATUS.read_text().splitlines() if row.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


async def main() -> list[Result]:
    return [await run(name, case) for name, case in CASES.items()]


def table(results: list[Result]) -> str:
    rows = [f"{'case':38} {'MB':>6} {'s':>6}  said"]
    rows += [
        f"{r.case:38} {'-' if r.grown_mb is None else r.grown_mb:>6} {r.seconds:>6}  "
        f"{r.kind}: {r.said}"
        for r in results
    ]
    most = max((r.grown_mb or 0) for r in results)
    return "\n".join([*rows, f"{len(results)} cases, memory grew by {most} MB at most"])


def is_told(result: Result) -> bool:
    """Whether a failure was reported correctly."""
    case = CASES[result.case]
    return case.words in result.said and issubclass(by_code(result.kind), case.kind)


if __name__ == "__main__":
    found = asyncio.run(main())
    if "--json" in sys.argv:
        print(json.dumps([asdict(result) for result in found]))
    else:
        print(table(found))
        sys.exit(0 if all(map(is_told, found)) else 1)
