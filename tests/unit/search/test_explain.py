"""Explaining a search on an index of real files."""

from pathlib import Path

import pytest

from allma_server.engine import Engine
from allma_server.errors import InvalidArgument
from allma_server.operations import BY_NAME, Call
from allma_server.types import Candidate, Explanation
from tests.unit.search.corpus import indexed

FILES = {
    "tomato.md": "# Tomatoes\n\nTomatoes need sun, water and patience.\n",
    "copy.md": "# Tomatoes\n\nTomatoes need sun, water and patience.\n",
    "billing.md": "# Billing\n\nThe billing service listens on port 7443.\n",
    "water.md": "# Water\n\nWater the beds in the evening.\n",
}


@pytest.fixture
async def call(engine: Engine, tmp_path: Path) -> Call:
    return await indexed(engine, tmp_path / "garden", FILES)


async def explained(call: Call, query: str, top_k: int = 5) -> Explanation:
    return await BY_NAME["explain"](call, {"query": query, "top_k": top_k})


def named(explanation: Explanation, name: str) -> Candidate:
    [found] = [c for c in explanation.candidates if Path(c.passage.path).name == name]
    return found


async def test_the_shown_candidates_are_the_passages_of_a_search(call: Call):
    explanation = await explained(call, "water for tomatoes", 2)
    found = await BY_NAME["search"](call, {"query": "water for tomatoes", "top_k": 2})
    shown = [c for c in explanation.candidates if c.outcome == "shown"]
    assert [c.passage.chunk_id for c in shown] == [p.chunk_id for p in found.passages]
    assert [c.rescored and c.rescored.score for c in shown] == [p.score for p in found.passages]


async def test_every_stage_has_a_rank_and_a_score(call: Call):
    explanation = await explained(call, "which port does billing use")
    best = explanation.candidates[0]
    assert Path(best.passage.path).name == "billing.md"
    assert best.dense and best.lexical and best.rescored
    assert (best.dense.rank, best.lexical.rank, best.fused.rank) == (1, 1, 1)
    assert 0 < best.dense.score <= 1
    assert named(explanation, "water.md").lexical is None


async def test_a_dropped_candidate_has_a_reason(call: Call):
    explanation = await explained(call, "sun for tomatoes", 1)
    first, second, *rest = explanation.candidates
    assert {Path(c.passage.path).name for c in (first, second)} == {"tomato.md", "copy.md"}
    assert {c.outcome for c in rest} == {"over_limit"}
    assert first.outcome == "shown"
    assert (second.outcome, second.other) == ("repeats", first.passage.chunk_id)
    assert second.verdict == f"dropped: repeats chunk {first.passage.chunk_id}"


async def test_the_terms_of_the_query_are_listed(call: Call):
    explanation = await explained(call, 'where is the "billing service"')
    assert explanation.terms == ["bill", "servic"]
    assert explanation.phrases == ["bill servic"]
    assert explanation.stop_words == ["where", "is", "the"]


MANUAL = """# Relays

The relay [switches](https://example.com/a_b=c) the `motor_on(now)` line, see [timing](t.md#x_y).

| signal | level |
|---|---|
| `relay_set` | `{high}` |
"""
RST = """Relays
======

The relay switches the :ref:`motor_on` line, see `timing <t.html#x_y>`_ and ``relay(set)``.
"""
SOURCE = "# The relay switches the motor.\nrelay = motor\n"
FENCED = "# Relays\n\n```python\nrelay = Relay(motor={}, on_time=[3])\nrelay.set(level=high)\n```\n"


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("relay.md", MANUAL, 0.0),
        ("relay.rst", RST, 0.0),
        ("relay.txt", "The relay switches the motor (see timing) and is quiet.\n", 0.0),
        ("fenced.md", FENCED, 1.0),
        ("relay.py", SOURCE, 1.0),
        ("relay", "def relay(motor):\n    return motor[0] == {'on': 1}\n", 1.0),
    ],
)
async def test_a_document_is_not_code_for_its_links_names_and_tables(
    engine: Engine, tmp_path: Path, name: str, text: str, code: float
):
    call = await indexed(engine, tmp_path / "relays", {name: text})
    explanation = await explained(call, "relay motor")
    assert [Path(c.passage.path).name for c in explanation.candidates] == [name]
    assert explanation.code == code


async def test_an_empty_query_is_refused(call: Call):
    with pytest.raises(InvalidArgument):
        await explained(call, " ")
