"""Where things are, whoever asks."""

import os
import sys
from pathlib import Path

import pytest

from allma_server import locations


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has runtime folders")
def test_a_client_that_is_not_told_the_runtime_folder_meets_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / str(os.getuid())
    runtime.mkdir(0o700)
    monkeypatch.setattr(locations, "RUNTIME_FOLDERS", tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    told = locations.meeting_place(tmp_path / "data")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert locations.meeting_place(tmp_path / "data") == told
