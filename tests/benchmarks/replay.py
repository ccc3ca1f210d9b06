"""Apply a project's history commit by commit, and check the index and its cost.

    python -m tests.benchmarks.replay [REPOSITORY] [-n N] [--under PATH ...]

Where the history is shorter than N, the rest are switches to one of its commits at random. After
every checkout the index is brought up to date. In the end it must be what a fresh one is;
and over the whole way no more texts may be embedded than there were new ones.
"""

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from allma_server.config import Config
from allma_server.engine import Engine, open_engine
from allma_server.operations import BY_NAME, Call
from allma_server.ports import Vectors
from allma_server.types import LOCAL
from tests.audit import differences, faults, fresh, snapshot

HERE = Path(__file__).parents[2]


def git(folder: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


async def counted(engine: Engine) -> list[int]:
    """Lets the engine's embedder count its texts, in the list's only number."""
    embedder = await engine.embedder.resolved()
    embed, count = embedder.embed_documents, [0]

    async def counting(texts: Sequence[str]) -> Vectors:
        count[0] += len(texts)
        return await embed(texts)

    embedder.embed_documents = counting  # type: ignore[method-assign]
    return count


async def hashes(engine: Engine) -> list[bytes]:
    """What is embedded of every chunk, one entry a chunk."""
    found = await engine.catalog._db.rows("SELECT text_hash FROM chunks")
    return [row["text_hash"] for row in found]


async def replay(repository: Path, steps: int, under: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        tree, config = Path(scratch) / "tree", Config(
            data_dir=Path(scratch) / "data", embedder="hashing/words-256", chat_provider="scripted"
        )  # fmt: skip
        git(Path(scratch), "clone", "-q", "--no-checkout", str(repository), "tree")
        git(tree, "sparse-checkout", "set", "--no-cone", *under)
        commits = git(tree, "rev-list", "--reverse", "--first-parent", "HEAD")[-steps - 1 :]
        chance = random.Random(1)
        commits += [chance.choice(commits) for _ in range(steps + 1 - len(commits))]
        git(tree, "checkout", "-q", "--detach", commits[0])
        async with open_engine(config) as engine:
            embedded = await counted(engine)
            await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(tree)]})
            first = await hashes(engine)
            known, unequal = set(first), 0
            total_new = total_chunks = 0
            print(f"{len(commits) - 1} changes after a first index of {len(first)} chunks; "
                  f"{embedded[0]} embedded, {len(known)} texts")  # fmt: skip
            embedded[0], times = 0, list[float]()
            for commit in commits[1:]:
                git(tree, "checkout", "-q", "--detach", commit)
                before, began = embedded[0], time.monotonic()
                await BY_NAME["sync"](Call(engine, LOCAL), {})
                times.append(time.monotonic() - began)
                now = await hashes(engine)
                new = set(now) - known
                known |= new
                unequal += embedded[0] - before != len(new)
                total_new += len(new)
                total_chunks += len(now)
            print(f"embedded {embedded[0]} texts where {total_new} were new, of {total_chunks} "
                  f"chunks looked at: {embedded[0] / total_chunks:.4%} and "
                  f"{total_new / total_chunks:.4%}; steps that differ: {unequal}")  # fmt: skip
            print(f"seconds a change: mean {sum(times) / len(times):.2f}, most {max(times):.2f}")
            await engine.vectors.wait_until_current()
        index = snapshot(config.data_dir)
        wrong = differences(index, await fresh(config, [tree]))
        wrong += faults(config.data_dir, vectors=True)
        print(f"audit of {len(index.documents)} documents, "
              f"{sum(map(len, index.chunks.values()))} chunks: {wrong[:5] or 'ok'}")  # fmt: skip
    return bool(wrong or embedded[0] != total_new)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("repository", nargs="?", type=Path, default=HERE)
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--under", nargs="*", default=["/*"], help="patterns of a sparse checkout")
    options = parser.parse_args()
    sys.exit(asyncio.run(replay(options.repository, options.n, options.under)))


if __name__ == "__main__":
    main()
