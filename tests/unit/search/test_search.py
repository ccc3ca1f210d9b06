"""Searching an index of real files: joined neighbours and the score threshold."""

from pathlib import Path

import pytest

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.types import LOCAL, Explanation, SearchResult
from tests.unit.search.corpus import indexed

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


async def test_one_document_does_not_fill_all_places(engine: Engine, tmp_path: Path):
    """A handbook with many sections on a subject, and two notes that are nearly as good."""
    parts = ("motor", "rudder", "anchor", "mast", "galley", "keel", "cabin", "radio")
    sections = (
        f"## {part.title()}\n\nFerry maintenance: the {part} is checked each spring. {BARN}\n\n"
        f"## History of the {part}\n\nThe shipyard was founded in 1907. {BARN}"
        for part in parts
    )
    note = "The crew did some work. Ferry maintenance: all is checked each spring. "
    files = {
        "handbook.md": "# Ferry handbook\n\n" + "\n\n".join(sections),
        "crew.txt": note + BARN,
        "costs.txt": "It is not cheap. " + note + BARN,
    }
    call = await indexed(engine, tmp_path / "ferry", files)
    query = "ferry maintenance checked each spring"
    explained: Explanation = await BY_NAME["explain"](call, {"query": query})
    best = [Path(c.passage.path).name for c in explained.candidates][:5]
    assert best == ["handbook.md"] * 5
    assert "same_document" in {c.outcome for c in explained.candidates}
    names = [Path(p.path).name for p in (await search(call, query)).passages]
    assert names == ["handbook.md"] * 3 + ["crew.txt", "costs.txt"]


def chapter(title: str, introduction: str, section: str, answer: str, remark: str) -> str:
    filler, rest = f"{introduction}\n" * 30, f"{remark}\n" * 9
    return f"# {title}\n\n{filler}\n## {section}\n\n{answer}\n{rest}"


SMALL_PROJECT = {
    "backups.md": chapter(
        "Guide",
        "This chapter begins with a longer introduction that is hardly of interest.",
        "Backups",
        "The backup hour of the archive is half past two, and it keeps fourteen copies.",
        "Each of them is compared with the one that was made on the day before.",
    ),
    "keys.md": chapter(
        "Manual",
        "The following pages were written for people who are new to this place.",
        "Keys",
        "The key period of the platform is ninety days, then they are renewed.",
        "It sends a reminder some weeks earlier than that to the one who has them.",
    ),
    "evict.py": 'def evict(cache):\n    """Drop the oldest entry."""\n    return cache.pop(0)\n',
    "ledger.md": "# Ledger\n\nLedger keeps the accounts of a small shop.\n",
    "notes.txt": "Buy coffee. Ask the landlord about the window.\n",
}


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("what is the backup hour?", "half past two"),
        ("backup hour", "half past two"),
        ("what is the key period?", "ninety days"),
        ("key period", "ninety days"),
    ],
)
async def test_in_a_small_project_the_answer_is_shown_without_the_filler_before_it(
    engine: Engine, tmp_path: Path, query: str, answer: str
):
    call = await indexed(engine, tmp_path / "project", SMALL_PROJECT)
    first = (await search(call, query)).passages[0]
    assert answer in first.text and first.text.startswith("## ")
