"""Engines that share folders in one cluster, and what tests do with them."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.storage.cluster.connection import Cluster
from allma_server.types import LOCAL, Principal, SharedFolder
from tests.cluster import KEY

EMBEDDER = "hashing/words-256"

Opens = Callable[..., contextlib.AbstractAsyncContextManager[Engine]]

HARBOUR = "# Harbour\n\nThe lighthouse keeper is called Edda Holm.\n"
KITCHEN = "# Kitchen\n\nThe soup of the day is made of leeks and potatoes.\n"
MOUNTAIN = "# Mountain\n\nThe hut below the summit has twelve beds.\n"


async def run(
    engine: Engine, operation: str, principal: Principal = LOCAL, /, **arguments: Any
) -> Any:
    return await BY_NAME[operation](Call(engine, principal), arguments)


def folder(tmp_path: Path, name: str, **files: str) -> str:
    made = tmp_path / name
    made.mkdir(exist_ok=True)
    for stem, text in files.items():
        (made / f"{stem}.md").write_text(text)
    return str(made)


async def indexed(engine: Engine, path: str) -> None:
    await run(engine, "ingest", paths=[path])


async def found(engine: Engine, query: str, principal: Principal = LOCAL, **more: Any) -> list[str]:
    result = await run(engine, "search", principal, query=query, **more)
    return [f"{each.path}:{each.start_line}" for each in result.passages]


async def share_of(engine: Engine, name: str) -> SharedFolder | None:
    listed = await run(engine, "shares")
    return next((each for each in listed.shares if each.name == name), None)


@contextlib.asynccontextmanager
async def administrator(url: str):
    """Return a connection to the cluster, for what nobody should do by hand."""

    async def key() -> str:
        return KEY

    cluster = Cluster(url, key)
    try:
        yield cluster
    finally:
        await cluster.close()
