"""A document that exists several times is found once, at the shortest path."""

from pathlib import Path
from typing import Any

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.types import LOCAL


async def do(engine: Engine, operation: str, /, **arguments: Any) -> Any:
    return await BY_NAME[operation](Call(engine, LOCAL), arguments)


async def test_the_copy_with_the_shortest_path_is_shown_whatever_the_query_says(
    engine: Engine, tmp_path: Path
) -> None:
    text = "# Guide\n\nCoffee grows on mountains and wants shade.\n"
    copies = ("docs/guide.md", "vendor/coffee/mountains/guide.md", "z/y/x/coffee.md")
    for name in copies:
        (tmp_path / "project" / name).parent.mkdir(parents=True)
        (tmp_path / "project" / name).write_text(text)
    await do(engine, "ingest", paths=[str(tmp_path / "project")])
    for query in ("coffee mountains", "vendor coffee", "guide", "x y z coffee"):
        [passage] = (await do(engine, "search", query=query)).passages
        assert passage.path == str(tmp_path / "project" / "docs" / "guide.md"), query
