"""The commands that search, explain, read and evaluate."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allma_server.cli.commands.options import Passages, Scope, Words, absolute
from allma_server.cli.program import command
from allma_server.cli.shell import Shell

if TYPE_CHECKING:
    from allma_server.types import Evaluation

app = typer.Typer()


@command(app, "search")
async def search(
    shell: Shell,
    query: Words,
    scope: Scope,
    top_k: Passages = None,
) -> None:
    """Find the passages that best match a query."""
    result = await _show_found(shell, "search", " ".join(query), scope, top_k)
    if not result.passages and not result.notice_code:
        shell.say("No passages found. `allma status` shows what is indexed.")
    shell.warn(result.notice)


@command(app, "explain")
async def explain(
    shell: Shell,
    query: Words,
    scope: Scope,
    top_k: Passages = None,
) -> None:
    """Show how a search ranks its candidates, and why it drops some."""
    shell.warn((await _show_found(shell, "explain", " ".join(query), scope, top_k)).notice)


async def _show_found(
    shell: Shell, operation: str, query: str, scope: Scope, top_k: int | None
) -> Any:
    result = await shell.run(
        operation, doing="Searching", query=query, top_k=top_k, **asdict(scope)
    )
    shell.show(result, words=query)
    return result


@command(app, "eval")
async def evaluate(
    shell: Shell,
    questions: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="JSON lines or CSV: question; path, text or lines to find.",
            parser=absolute,
        ),
    ],
    scope: Scope,
    generate: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Let the chat model write this many into a new FILE."),
    ] = None,
    top_k: Annotated[
        int, typer.Option("-k", min=1, max=50, help="Passages of each search to score.")
    ] = 10,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="RESULT", help="Compare with an earlier output of --json.", parser=absolute
        ),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(metavar="SVG", help="Draw the result into this file.", parser=absolute),
    ] = None,
) -> None:
    """Measure search on questions whose answers are known.

    To compare two settings: `allma eval FILE --json > before.json`, change the setting,
    `allma eval FILE --against before.json`.
    """
    result: Evaluation = await shell.run(
        "eval",
        doing="Measuring",
        unit="questions",
        questions=questions,
        generate=generate,
        top_k=top_k,
        against=against,
        picture=picture,
        **asdict(scope),
    )
    shell.show(result)
    shell.warn(result.notice)


def _source(name: str) -> str:
    from allma_server.types import chunk_id  # late: not for the help

    is_chunk = chunk_id(name) is not None and not os.path.exists(name)
    return name if is_chunk or "://" in name else absolute(name)


@command(app, "read")
async def read(
    shell: Shell,
    source: Annotated[
        str,
        typer.Argument(help="A file, a chunk id or an allma:// URI.", parser=_source),
    ],
    lines: Annotated[
        str | None, typer.Option("--lines", metavar="A:B", help="Only these lines.")
    ] = None,
    neighbors: Annotated[
        int, typer.Option(min=0, max=20, help="With a chunk id: chunks around it.")
    ] = 0,
) -> None:
    """Read an indexed document; PDF and office documents as extracted text."""
    first, last = _range(lines)
    excerpt = await shell.run(
        "read", source=source, start_line=first, end_line=last, neighbors=neighbors
    )
    shell.show(excerpt)
    shell.warn(excerpt.notice)


def _range(lines: str | None) -> tuple[int | None, int | None]:
    """Parse `A:B`, `A:`, `:B` or `A` as two line numbers."""
    if lines is None:
        return None, None
    first, colon, last = lines.partition(":")
    try:
        numbers = [int(part) if part else None for part in (first, last if colon else first)]
    except ValueError:
        numbers = [0]
    if any(number is not None and number < 1 for number in numbers):
        raise typer.BadParameter("Lines are given as A:B, such as 10:20.", param_hint="--lines")
    return numbers[0], numbers[1]
