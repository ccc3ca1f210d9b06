"""The progress that a command shows."""

import asyncio
import io
import re

import pytest
from rich.console import Console

from allma_server.cli import late_bar
from allma_server.cli.progress import AnswerStream, Bar, split_blocks
from tests.unit.cli.test_views import plain


def test_a_block_is_complete_when_another_one_begins() -> None:
    assert split_blocks("a\n\nb\n\nc") == ("a\n\nb", "c")
    assert split_blocks("a\n\n") == ("", "a\n\n")
    assert split_blocks("```\na\n\nb") == ("", "```\na\n\nb")
    assert split_blocks("- a\n\n  more") == ("", "- a\n\n  more")


@pytest.mark.parametrize("seconds", [0, 60])
async def test_a_late_bar_appears_only_after_its_time(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_bar, "SECONDS", seconds)
    console = Console(file=io.StringIO(), force_terminal=True, width=60)
    shown = asyncio.Event()

    def make() -> Bar:
        shown.set()
        return Bar(console, "Searching")

    with late_bar.LateBar(make) as bar:
        await bar.report(1, 2, "early")
        if not seconds:
            await shown.wait()
        await bar.report(2, 2, "a.md")
    assert shown.is_set() == (seconds == 0)


async def test_a_streamed_answer_ends_up_complete_on_a_terminal() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, force_interactive=True, width=60, height=8)
    blocks = [f"Block **number {n}**." for n in range(30)]
    with AnswerStream(console, None) as stream:
        for piece in re.findall(r"(?s).{1,7}", "\n\n".join(blocks)):
            await stream.text(piece)
    text = plain(file.getvalue())
    for n in range(30):
        assert f"Block number {n}." in text


async def test_progress_shows_counts_and_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, force_interactive=True, width=100)
    with Bar(console, "Indexing") as bar:
        await bar.report(3, 12, "/x/[bold]odd\x1b.md")
        bar.refresh()
    assert "3/12" in plain(file.getvalue())
    assert "[bold]odd%1B.md" in plain(file.getvalue())
    assert capsys.readouterr().out == ""
