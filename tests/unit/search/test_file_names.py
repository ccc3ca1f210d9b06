"""A file name as the query finds the file; an overview finds the README, whatever its words."""

from pathlib import Path

import pytest

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.types import LOCAL, Explanation, SearchResult

TALK = (
    "The fusion of the lists, the setup, the config.py file and the README are the talk of all.\n"
)
FILES = {
    "README.md": "# Tidewater\n\nWarns harbours of high water by radio.\n",
    "docs/setup.md": "# Receiver\n\nPlug it in.\n",
    "app/config.py": "LIMIT = 3\n",
    "app/fusion.py": "def merge(lists):\n    return sum(lists, [])\n",
    "app/deep/config.py": "OTHER = 4\n",
    "vendor/Dockerfile": "FROM scratch\n",
} | {
    f"talk/{number}.txt": f"{number}. What is this project about? {TALK}" * 3
    for number in range(120)
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tidewater")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
async def call(engine: Engine, project: Path) -> Call:
    call = Call(engine, LOCAL)
    await BY_NAME["ingest"](call, {"paths": [str(project)]})
    return call


async def best(call: Call, query: str, **scope: str) -> str:
    found: SearchResult = await BY_NAME["search"](call, {"query": query, **scope})
    return str(Path(found.passages[0].path).relative_to(found.passages[0].workspace))


async def test_a_file_is_found_by_its_name(call: Call):
    for query, name in [
        ("config.py", "app/config.py"),
        ("`app/config.py`", "app/config.py"),
        ("deep/config.py", "app/deep/config.py"),
        ("where is config.py?", "app/config.py"),
        ("docs/setup.md", "docs/setup.md"),
        ("Setup.md", "docs/setup.md"),
        ("fusion", "app/fusion.py"),
        ("dockerfile", "vendor/Dockerfile"),
    ]:
        assert await best(call, query) == name, query
    assert await best(call, "config.py", path="app/deep/**") == "app/deep/config.py"
    assert (await best(call, "fusion", path="talk/*.txt")).startswith("talk/")
    assert (await best(call, "the talk about fusion")).startswith("talk/")


async def test_an_overview_question_finds_a_readme_that_no_word_leads_to(call: Call):
    assert await best(call, "what is this project about") == "README.md"
    explained: Explanation = await BY_NAME["explain"](call, {"query": "what is this project about"})
    first = explained.candidates[0]
    assert first.raised == "the beginning of a folder"
    assert first.lexical is None and first.fused.rank > 30
