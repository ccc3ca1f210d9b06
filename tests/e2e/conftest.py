from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a small project that is not indexed."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "sea.md").write_text("# Sea\n\nThe sea is salty because rivers carry minerals.\n")
    return folder
