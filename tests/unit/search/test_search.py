"""Searching an index of real files: joined neighbours and the score threshold."""

from pathlib import Path

import pytest

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.types import LOCAL, Explanation, SearchResult

BARN = "The barn of the old farm stands in the north. " * 12
GUIDE = f"""# Harbour

## Lighthouse

The lighthouse of the harbour is painted red and white. {BARN}

## Keeper

The lighthouse keeper of the harbour lights the lamp at dusk. {BARN}

## Bakery

Bread is baked at five. {BARN}
"""


@pytest.fixture
async def call(engine: Engine, tmp_path: Path) -> Call:
    folder = tmp_path / "town"
    folder.mkdir()
    (folder / "guide.md").write_text(GUIDE)
    (folder / "school.txt").write_text("The school has two teachers and a dog.\n")
    (folder / "mill.txt").write_text("The mill grinds the harbour's flour.\n")
    call = Call(engine, LOCAL)
    await BY_NAME["ingest"](call, {"paths": [str(folder)]})
    return call


async def search(call: Call, query: str, top_k: int = 5) -> SearchResult:
    return await BY_NAME["search"](call, {"query": query, "top_k": top_k})


async def test_adjacent_chunks_are_joined_into_one_passage(call: Call):
    found = await search(call, "who lights the lamp of the harbour's lighthouse")
    best = found.passages[0]
    assert "painted red" in best.text and "lights the lamp" in best.text
    assert best.heading == ["Harbour"]
    lines = GUIDE.splitlines()
    assert "lights the lamp" in "\n".join(lines[best.start_line - 1 : best.end_line])
    assert best.uri.endswith(f"#L{best.start_line}-L{best.end_line}")


async def test_a_small_index_has_no_threshold(call: Call):
    found = await search(call, "who lights the lamp of the harbour's lighthouse")
    assert {Path(p.path).name for p in found.passages} == {"guide.md", "mill.txt", "school.txt"}


async def test_passages_below_the_threshold_are_dropped_and_explained(call: Call, tmp_path: Path):
    for number in range(100):
        (tmp_path / "town" / f"house-{number}.txt").write_text(f"House {number} is for sale.\n")
    await BY_NAME["sync"](call, {"path": str(tmp_path / "town")})
    query = "who lights the lamp of the harbour's lighthouse"
    found = await search(call, query)
    explained: Explanation = await BY_NAME["explain"](call, {"query": query})
    dropped = {
        Path(c.passage.path).name for c in explained.candidates if c.outcome == "below_threshold"
    }
    assert any(name.startswith("house-") for name in dropped)
    assert {Path(p.path).name for p in found.passages} <= {"guide.md", "mill.txt"}
