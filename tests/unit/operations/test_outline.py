"""Passages for a summary are chosen by structure: of everything, a folder, a file."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call
from allma_server.operations.outline import MAX_PASSAGES, outline
from allma_server.search.search import Scope
from allma_server.types import LOCAL


@pytest.fixture
async def project(engine: Engine, tmp_path: Path) -> Path:
    """Index a project with a README, documents, code, and a long manual."""
    root = tmp_path / "kernow"
    (root / "docs" / "deep").mkdir(parents=True)
    (root / "README.md").write_text("# Kernow\n\nA house with gates.\n\n## Use\n\nLight it.\n")
    (root / "CHANGES.md").write_text("# Changes\n\nThe gates are red now.\n")
    (root / "light.py").write_text("def light():\n    return 1\n")
    (root / "docs" / "keeper.md").write_text("# Keeper\n\nThe keeper sleeps by day.\n")
    (root / "docs" / "deep" / "oil.md").write_text("# Oil\n\nOil comes by boat.\n")
    parts = (f"## Chapter {n}\n\n" + f"The rule {n} of the house. " * 60 for n in range(60))
    (root / "docs" / "manual.md").write_text("# Manual\n\n" + "\n\n".join(parts))
    await BY_NAME["ingest"](Call(engine, LOCAL), {"paths": [str(root)]})
    return root


async def names(engine: Engine, question: str, *folders: str) -> Sequence[str] | None:
    """Return the names of the files with passages, in order."""
    found = await outline(Call(engine, LOCAL), question, Scope(folders, None))
    return None if found is None else list(dict.fromkeys(Path(p.path).name for p in found.passages))


async def test_a_project_is_told_by_its_readme_and_the_documents_near_the_top(
    engine: Engine, project: Path
) -> None:
    assert await names(engine, "What is this project about?") == [
        "README.md", "CHANGES.md", "light.py", "keeper.md", "manual.md", "oil.md"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Summarise keeper.md", ["keeper.md"]),
        ("Please give me a short summary of the file docs/keeper.md.", ["keeper.md"]),
        ("summarize the folder deep", ["oil.md"]),
        ("Fasse keeper.md zusammen", ["keeper.md"]),
        ("Summarise the war", None),
        ("How many gates has the house?", None),
    ],
)
async def test_a_file_or_folder_is_found_by_its_name(
    engine: Engine, project: Path, question: str, expected: list[str] | None
) -> None:
    assert await names(engine, question) == expected


async def test_a_long_document_is_represented_by_its_headings(
    engine: Engine, project: Path
) -> None:
    found = await outline(Call(engine, LOCAL), "summarise manual.md", Scope((), None))
    assert found is not None and len(found.passages) == MAX_PASSAGES
    places = [passage.chunk_index for passage in found.passages]
    assert places == sorted(places)
    assert len({tuple(passage.heading) for passage in found.passages}) == MAX_PASSAGES


async def test_the_scope_of_a_question_limits_its_summary(engine: Engine, project: Path) -> None:
    file = str(project / "docs" / "keeper.md")
    assert await names(engine, "Summarise this document", file) == ["keeper.md"]
    deep = str(project / "docs" / "deep")
    assert await names(engine, "What is this folder about?", deep) == ["oil.md"]
