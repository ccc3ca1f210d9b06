"""The commands that search, explain, read and evaluate."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from allma_server.cli.commands.options import Passages, Scope, Words, absolute
from allma_server.cli.last_sources import Source
from allma_server.cli.program import command
from allma_server.cli.shell import DONE, FAILED, Shell
from allma_server.errors import AllmaError

if TYPE_CHECKING:
    from allma_server.protocols.shell.client import Session
    from allma_server.types import Evaluation, Passage, SearchResult

app = typer.Typer()

FILES = 10
"""Names that `search --files` prints without `-k`."""

MOST_PASSAGES = 50
"""Passages that a search may return; several may be of one file."""


@command(
    app,
    "search",
    examples=[
        "allma search where is the retry limit set",
        'allma search retry limit --path "*.py" --context 3',
        "allma search retry limit --files | xargs wc -l",
    ],
)
async def search(
    shell: Shell,
    query: Words,
    scope: Scope,
    top_k: Passages = None,
    around: Annotated[
        int | None,
        typer.Option("--context", "-C", min=0, max=200, help="Show this many lines around each."),
    ] = None,
    files: Annotated[
        bool, typer.Option("--files", "-l", help="Print only names of files.")
    ] = False,
) -> int:
    """Find the passages that best match a query, in the current folder's workspace.

    Changed files are indexed first. To a pipe, each passage is one line, as grep prints it. The
    exit code is 1 when nothing is found.
    """
    words = " ".join(query)
    wanted = min(4 * (top_k or FILES), MOST_PASSAGES) if files else top_k
    result: SearchResult = await shell.search(
        "search", query=words, top_k=wanted, **scope.arguments()
    )
    if files:
        names = list(dict.fromkeys(passage.path for passage in result.passages))
        shell.show_files(names[: top_k or FILES])
    elif around is not None:
        shell.show(await _widened(shell, result, words, around), words, whole=True)
    else:
        shell.show(result, words)
    shell.remember(_places(result, words))
    if result.passages and not _has_words(result, words):
        shell.say("No passage has these words; these are the closest in meaning.")
    if not result.passages and not result.notice_code:
        shell.say("No passages found. `allma status` shows what is indexed, --all searches it.")
    shell.warn(scope.notice(result.passages))
    shell.warn(result.notice)
    return DONE if result.passages else FAILED


def _has_words(result: "SearchResult", words: str) -> bool:
    """Return whether some word of the query is in some passage, its headings or its path."""
    from allma_server._internal.tokens import lexemes, query_terms  # late: not for the help

    wanted = query_terms(words)
    if not wanted.terms or wanted.prefixes:
        return True
    texts = (f"{each.path} {' '.join(each.heading)} {each.text}" for each in result.passages)
    return any(not set(wanted.terms).isdisjoint(lexemes(text)) for text in texts)


def _places(result: "SearchResult", words: str) -> list[Source]:
    """Return where the passages are, each at its best line."""
    from allma_server.search.snippets import best_row, lines_of, terms_of  # late: not for the help

    terms = terms_of(words)
    best = [best_row(lines_of(passage, terms), passage) for passage in result.passages]
    return [
        Source(number, each.path, row.number if row and row.number else each.start_line, each.page)
        for number, (each, row) in enumerate(zip(result.passages, best, strict=True), start=1)
    ]


async def _widened(shell: Shell, result: "SearchResult", words: str, around: int) -> "SearchResult":
    """Return the passages as the lines of their files around the best line of each."""
    from allma_server.search.snippets import best_row, lines_of, terms_of  # late: not for the help

    terms = terms_of(words)

    async def widened(passage: "Passage", session: "Session") -> "Passage":
        best = best_row(lines_of(passage, terms), passage)
        if best is None or best.number is None:
            return passage
        lines = {"start_line": max(1, best.number - around), "end_line": best.number + around}
        try:
            excerpt = await session.run("read", {"source": passage.path, **lines})
        except AllmaError:
            return passage  # what is indexed is still what was found
        first, last = excerpt.start_line, excerpt.end_line
        return replace(passage, text=excerpt.text, start_line=first, end_line=last)

    async with shell.session() as session:
        passages = [await widened(passage, session) for passage in result.passages]
    return replace(result, passages=passages)


@command(app, "explain")
async def explain(
    shell: Shell,
    query: Words,
    scope: Scope,
    top_k: Passages = None,
) -> None:
    """Show how a search ranks its candidates, and why it drops some."""
    words = " ".join(query)
    result = await shell.search("explain", query=words, top_k=top_k, **scope.arguments())
    shell.show(result, words)
    shell.warn(result.notice)


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
        **scope.arguments(),
    )
    shell.show(result)
    shell.warn(result.notice)


def _source(name: str) -> str:
    from allma_server.types import chunk_id  # late: not for the help

    is_chunk = chunk_id(name) is not None and not os.path.exists(name)
    return name if is_chunk or "://" in name else absolute(name)


@command(app, "read", examples=["allma read docs/guide.md:10-20", "allma read paper.pdf"])
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
