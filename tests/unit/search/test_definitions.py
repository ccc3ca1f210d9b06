"""A question for a definition finds it before callers and tests."""

from pathlib import Path

import pytest

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.search.definitions import is_of_code, sought_name
from allma_server.types import Explanation, SearchResult
from tests.unit.search.corpus import indexed

CALLS = "\n\n".join(
    f"def step_{n}(order):\n    rank_items(order)\n    return rank_items(rank_items(order))"
    for n in range(40)
)
FILES = {
    "ranking.py": "import os\n\n\ndef rank_items(order):\n"
    '    """Sort by price."""\n    return sorted(order, key=os.fspath)\n\n\n'
    "class RetryPolicy:\n    pauses = (1, 2, 4)\n\n    def next_pause(self):\n        return 1\n",
    "limits.py": "import os\n\nMAX_ORDERS = 12\nOTHER = os.sep\n",
    "callers.py": "from ranking import rank_items\n\n" + CALLS,
    "test_ranking.py": "from ranking import RetryPolicy, rank_items\n\n\n"
    "def test_rank_items():\n    assert rank_items(rank_items([])) == rank_items([])\n\n\n"
    "def test_retry():\n    RetryPolicy().next_pause()\n    assert RetryPolicy().next_pause()\n\n\n"
    "def test_most():\n    assert MAX_ORDERS == MAX_ORDERS\n",
    "queue.go": "package queue\n\nfunc (q *Queue) PushBack(x int) int {\n\treturn x\n}\n",
    "main.go": "package main\n\nfunc main() {\n\tq.PushBack(1)\n\tq.PushBack(2)\n}\n",
    "guide.md": "# Where is rank_items\n\nrank_items is called: rank_items here, rank_items there. "
    "The retry policy and MAX_ORDERS are described here; PushBack, too.\n",
}


@pytest.fixture
async def call(engine: Engine, tmp_path: Path) -> Call:
    return await indexed(engine, tmp_path / "shop", FILES)


@pytest.mark.parametrize(
    ("query", "name", "text"),
    [
        ("rank_items", "ranking.py", "def rank_items"),
        ("rank_items()", "ranking.py", "def rank_items"),
        ("where is rank_items defined?", "ranking.py", "def rank_items"),
        ("Where is the function `rank_items`", "ranking.py", "def rank_items"),
        ("RetryPolicy", "ranking.py", "class RetryPolicy"),
        ("where is the retry policy implemented", "ranking.py", "class RetryPolicy"),
        ("RetryPolicy.next_pause", "ranking.py", "def next_pause"),
        ("definition of MAX_ORDERS", "limits.py", "MAX_ORDERS ="),
        ("MAX_ORDERS", "limits.py", "MAX_ORDERS ="),
        ("wo ist PushBack definiert", "queue.go", "PushBack(x int)"),
    ],
)
async def test_a_definition_is_found_before_its_callers(
    call: Call, query: str, name: str, text: str
):
    found: SearchResult = await BY_NAME["search"](call, {"query": query})
    best = found.passages[0]
    assert (Path(best.path).name, text in best.text) == (name, True)


async def test_the_explanation_says_that_a_definition_was_raised(call: Call):
    explained: Explanation = await BY_NAME["explain"](call, {"query": "rank_items"})
    raised = [Path(c.passage.path).name for c in explained.candidates if c.raised]
    assert raised == ["ranking.py"]
    assert explained.candidates[0].raised == "defines what is asked for"


@pytest.mark.parametrize(
    "query", ["how do I rank items", "rank items by price", "where are the callers and why so many"]
)
def test_other_queries_ask_for_no_definition(query: str):
    assert sought_name(query) is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("rank_items", True),
        ("RetryPolicy", True),
        ("pushBack", True),
        ("where is main() defined", True),
        ("where is the station", False),
        ("Paris", False),
        ("main", False),
    ],
)
def test_a_name_is_of_code_by_its_writing(query: str, expected: bool):
    assert is_of_code(query) is expected
