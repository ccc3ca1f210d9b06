import gc
import sys
from pathlib import Path

import pytest

from allma_server._internal.imports import imported


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


async def test_objects_of_an_imported_module_are_frozen(folder: Path):
    (folder / "late_and_large.py").write_text("made = [[] for _ in range(50_000)]\n")
    before = gc.get_freeze_count()
    await imported("late_and_large")
    assert "late_and_large" in sys.modules
    assert gc.get_freeze_count() - before >= 50_000
    assert gc.isenabled()


async def test_an_imported_module_freezes_nothing(folder: Path):
    before = gc.get_freeze_count()
    kept = [[] for _ in range(10_000)]
    await imported("json")
    assert gc.get_freeze_count() <= before
    assert len(kept) == 10_000


async def test_a_failing_import_raises_and_leaves_garbage_collection_on(folder: Path):
    (folder / "late_and_broken.py").write_text("raise RuntimeError('broken')\n")
    with pytest.raises(RuntimeError, match="broken"):
        await imported("late_and_broken")
    assert gc.isenabled()
