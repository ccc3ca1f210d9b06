"""Send mutated messages over each protocol, and check that every request is answered.

    python -m tests.benchmarks.fuzz [--frames N] [--seed S] [--protocols lsp,mcp,modern,shell,http]

Through the real processes: ids that cannot be, nulls everywhere, deep nests, wrong types and
enumerations, truncated bytes. Each request must be answered once, without an unexpected failure;
the processes must live, and their memory must stay flat.
"""

import argparse
import asyncio
import sys
import time

from tests.benchmarks.running import home
from tests.fuzzing import PROTOCOLS, run
from tests.fuzzing_http import run_http

GROWTH = 64_000_000
"""Bytes that a process may grow after its first fifth."""


async def trial(frames: int, seed: int, protocols: list[str]) -> int:
    faults = 0
    async with home(ALLMA_RATE_LIMIT="100000/second") as here:
        (here.folder / "sea.md").write_text("# Sea\n\nThe sea is salty: rivers carry minerals.\n")
        for protocol in protocols:
            began = time.monotonic()
            if protocol == "http":
                outcome = await run_http(frames, seed)
            else:
                outcome = await run(protocol, here.folder, frames, seed)
            faults += len(outcome.faults)
            grown = [outcome.memory[-1][n] - outcome.memory[1][n] for n in (0, 1)]
            faults += sum(size > GROWTH for size in grown)
            print(f"{protocol}: {frames} frames in {time.monotonic() - began:.0f} s, "
                  f"{sum(outcome.answers.values())} answers {dict(outcome.answers)}; "
                  f"memory of client and engine grew by "
                  f"{grown[0] / 1e6:.1f} and {grown[1] / 1e6:.1f} MB; "
                  f"{len(outcome.faults)} faults", flush=True)  # fmt: skip
            for fault in outcome.faults[:20]:
                print(f"  {fault}", flush=True)
    return faults


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--protocols", default=",".join((*PROTOCOLS, "http")))
    options = parser.parse_args()
    protocols = options.protocols.split(",")
    sys.exit(min(1, asyncio.run(trial(options.frames, options.seed, protocols))))


if __name__ == "__main__":
    main()
