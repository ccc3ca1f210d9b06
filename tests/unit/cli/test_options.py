"""Arguments that several commands take."""

import os
from pathlib import Path

import pytest
import typer

from allma_server.cli.commands.options import absolute


@pytest.mark.skipif(os.name != "posix", reason="a folder in use can be removed on POSIX only")
def test_a_relative_path_in_a_deleted_folder_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert absolute("/notes") == "/notes"
    with pytest.raises(typer.BadParameter, match="absolute path"):
        absolute("notes")
