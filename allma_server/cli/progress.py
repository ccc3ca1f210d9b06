"""Output while an operation runs: a progress bar, and a streamed answer."""

import os
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.live import Live
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column

from allma_server._internal.path_text import readable
from allma_server.cli import streams
from allma_server.types import Citation


class Bar:
    """A spinner until the total is known, then a bar; removed at the end.

    `unit`: `bytes` are shown as sizes, anything else is counted.
    """

    def __init__(self, console: Console, doing: str, unit: str = "files") -> None:
        self._size = decimal if unit == "bytes" else str
        self._progress = Progress(
            SpinnerColumn("line"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24 if console.width >= 72 else 8),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn(
                "{task.fields[now]}",
                style="dim",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=console,
            transient=True,
            expand=True,
        )
        self._task = self._progress.add_task(doing, total=None, count="", now="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Remove the bar from the screen."""
        self._progress.stop()

    def refresh(self) -> None:
        """Draw the bar now instead of at the next tick."""
        self._progress.refresh()

    async def report(self, done: int, total: int | None, message: str) -> None:
        now = readable(message.rsplit(os.sep, 1)[-1])
        count = f"{self._size(done)}/{self._size(total)}" if total else ""
        self._progress.update(self._task, completed=done, total=total or None, count=count, now=now)

    async def started(self, conversation_id: str, message_id: str) -> None: ...
    async def thinking(self, delta: str) -> None: ...
    async def text(self, delta: str) -> None: ...
    async def sources(self, citations: Sequence[Citation]) -> None: ...


class AnswerStream:
    """A streamed answer: rendered Markdown on a terminal, plain text elsewhere."""

    def __init__(self, out: Console, waiting: Bar | None) -> None:
        self._out = out
        self._waiting = waiting
        self._live: Live | None = None
        self._tail = ""
        self._ended = True
        self._thinks_since: float | None = None
        self.conversation_id: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._waiting:
            self._waiting.stop()
        if self._live:
            self._live.stop()
        elif not self._ended and kind is not SystemExit:
            streams.write("\n")

    async def report(self, done: int, total: int | None, message: str) -> None:
        if self._waiting:
            await self._waiting.report(done, total, message)

    async def started(self, conversation_id: str, message_id: str) -> None:
        self.conversation_id = conversation_id

    async def thinking(self, delta: str) -> None:
        """Show how long the model has been thinking."""
        now = time.monotonic()
        self._thinks_since = self._thinks_since or now
        await self.report(0, None, f"thinking… {now - self._thinks_since:.0f} s")

    async def text(self, delta: str) -> None:
        if self._waiting:
            self._waiting.stop()
            self._waiting = None
        if not self._out.is_interactive:
            streams.write(delta.translate(streams.CONTROLS))
            self._ended = delta.endswith("\n") if delta else self._ended
            return
        if self._live is None:
            self._live = Live(console=self._out, refresh_per_second=8)
            self._live.start()
        done, self._tail = split_blocks(self._tail + delta.translate(streams.CONTROLS))
        if done:
            # Complete blocks are printed once, so only the end of a long answer is redrawn.
            self._live.console.print(Markdown(done, hyperlinks=False))
            self._live.console.print()
        self._live.update(Markdown(self._tail, hyperlinks=False))

    async def sources(self, citations: Sequence[Citation]) -> None: ...


def split_blocks(text: str) -> tuple[str, str]:
    """Split Markdown into its complete blocks and the rest, which may still grow."""
    at = len(text)
    while (at := text.rfind("\n\n", 0, at)) > 0:
        # Indented text belongs to the list above it; a block does not end inside a code fence.
        continued = text[at + 2 : at + 3] in ("", " ", "\n", "\t")
        if not continued and text.count("```", 0, at) % 2 == 0:
            return text[:at], text[at + 2 :]
    return "", text
