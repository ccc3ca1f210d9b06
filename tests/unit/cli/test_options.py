"""Arguments that several commands take."""

import os
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from allma_server.cli.commands.options import absolute
from allma_server.cli.program import command
from allma_server.cli.shell import Shell


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


@pytest.mark.parametrize(
    ("words", "words_and_count"),
    [
        (["-1"], (["-1"], 0)),
        (["x", "-1", "--count", "3"], (["x", "-1"], 3)),
        (["--count", "-3", "x"], (["x"], -3)),
        (["--count=-3", "-.5", "y"], (["-.5", "y"], -3)),
        (["--", "-1", "--count"], (["-1", "--count"], 0)),
    ],
)
def test_a_negative_number_is_a_value_and_not_an_option(
    words: list[str], words_and_count: tuple[list[str], int]
) -> None:
    seen: list[object] = []
    app = typer.Typer()

    async def show(
        shell: Shell,
        words: Annotated[list[str], typer.Argument()],
        count: Annotated[int, typer.Option()] = 0,
    ) -> None:
        seen.append((words, count))

    app.callback()(lambda: None)
    command(app, "show")(show)
    result = CliRunner().invoke(app, ["show", *words])
    assert result.exit_code == 0, result.output
    assert seen == [words_and_count]
    assert CliRunner().invoke(app, ["show", "-1", "--nonsense"]).exit_code == 2
