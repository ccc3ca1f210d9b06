"""Overview questions are answered by the README nearest to the top."""

from pathlib import Path

import pytest

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.types import LOCAL, Explanation, SearchResult

FILES = {
    "README.md": "# Tidewater\n\nTidewater warns harbours of high water by radio.\n\n"
     "## Installation\n\nRun `make all` and plug in the receiver.\n\n"
     "## Licence\n\nMIT. " + "The licence applies to all of it. " * 40,
    "docs/project.md": "# Project rules\n\nWho may change this project, what a project is allowed "
    "to do, and what the project is about to change.\n",
    "docs/plan.txt": "What the project is about was discussed: this project is what it is.\n",
    "docs/start.txt": "The meeting started on time. We get started at nine.\n",
    "billing/README.md": "# Billing\n\nSends an invoice to each harbour in the first week.\n",
    "billing/notes.txt": "Billing does not run in August; billing does what the bank does.\n",
    "vendor/lib/README.md": "# Lib\n\nThis project is about radio: what this project does.\n",
}  # fmt: skip


@pytest.fixture
async def call(engine: Engine, tmp_path: Path) -> Call:
    for name, text in FILES.items():
        path = tmp_path / "tidewater" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    call = Call(engine, LOCAL)
    await BY_NAME["ingest"](call, {"paths": [str(tmp_path / "tidewater")]})
    return call


async def best(call: Call, query: str) -> str:
    found: SearchResult = await BY_NAME["search"](call, {"query": query})
    path = Path(found.passages[0].path)
    return str(path.relative_to(found.passages[0].workspace))


@pytest.mark.parametrize(
    "query",
    [
        "what is this project about",
        "What does this project do?",
        "what is this",
        "how do I get started",
        "Getting started",
        "an overview of the project",
        "Worum geht es in diesem Projekt?",
        "que fait ce projet ?",
        "这个项目是做什么的？",
    ],
)
async def test_an_overview_question_finds_the_readme_at_the_top(call: Call, query: str):
    assert await best(call, query) == "README.md"


async def test_a_question_about_a_part_finds_its_readme(call: Call):
    assert await best(call, "what does billing do") == "billing/README.md"
    assert await best(call, "what is the billing service for?") == "billing/README.md"


async def test_other_questions_are_answered_by_their_words(call: Call):
    assert await best(call, "what was discussed about the project") == "docs/plan.txt"
    assert await best(call, "the meeting started on time") == "docs/start.txt"


async def test_the_explanation_says_that_the_place_counted(call: Call):
    explained: Explanation = await BY_NAME["explain"](call, {"query": "what is this project about"})
    first = explained.candidates[0]
    assert (Path(first.passage.path).parent.name, first.raised) == (
        "tidewater",
        "the beginning of a folder",
    )
    plan = [c for c in explained.candidates if c.passage.path.endswith("plan.txt")]
    assert [c.raised for c in plan] == [""]
