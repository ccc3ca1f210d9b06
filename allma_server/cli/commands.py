"""The commands: arguments in, one operation, its result out."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from allma_server.cli import clients, engine
from allma_server.cli.program import command, group, program
from allma_server.cli.shell import DONE, FAILED, Data, Shell, Solo, given

if TYPE_CHECKING:
    from allma_server.model import (
        Answer,
        Conversation,
        ConversationPage,
        DocumentPage,
        Evaluation,
        Explanation,
        IngestReport,
        Job,
        SearchResult,
    )

app = program("One local engine that knows your folders, and answers from them.")

Passages = Annotated[
    int | None, typer.Option("-k", min=1, max=50, help="At most so many passages (default 5).")
]
Folder = Annotated[
    str | None, typer.Option("--workspace", metavar="DIR", help="Only this indexed folder.")
]
Glob = Annotated[
    str | None,
    typer.Option("--path", metavar="GLOB", help="Only files like this, such as src/**/*.py."),
]
State = Literal["indexed", "skipped", "failed"]
ConversationId = Annotated[str, typer.Argument(metavar="ID", help="The conversation's id.")]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Such as llama3.2:3b.")]


# --- index, search, ask -------------------------------------------------------------------------


@command(app, "index")
async def index(
    shell: Shell,
    folders: Annotated[list[str], typer.Argument(metavar="DIR", help="Folders, or files.")],
) -> int:
    """Index folders, and keep them indexed."""
    paths = [_absolute(folder) for folder in folders]
    report = await shell.run("ingest", doing="Indexing", paths=paths)
    shell.show(report)
    return _outcome(shell, report)


@command(app, "sync")
async def sync(
    shell: Shell,
    folder: Annotated[
        str | None, typer.Argument(metavar="DIR", help="Only this indexed folder.")
    ] = None,
) -> int:
    """Bring the index up to date with the disk now."""
    report = await shell.run("sync", doing="Updating", path=_absolute(folder))
    shell.show(report)
    return _outcome(shell, report)


def _outcome(shell: Shell, report: "IngestReport | Job") -> int:
    from allma_server.model import Job  # known by now; the help does without it

    if isinstance(report, Job):
        return DONE
    if report.indexed or report.updated or report.unchanged or report.removed or report.skipped:
        return DONE
    if report.failed:
        return FAILED
    shell.say("There was nothing to index.")
    return DONE


@command(app, "search")
async def search(
    shell: Shell,
    query: Annotated[str, typer.Argument(help="Words, a question, a symbol.")],
    top_k: Passages = None,
    path: Glob = None,
    folder: Folder = None,
) -> None:
    """Find the passages that best match a query."""
    result: SearchResult = await shell.run(
        "search",
        doing="Searching",
        query=query,
        top_k=top_k,
        path=path,
        workspace=_absolute(folder),
    )
    shell.show(result, words=query)
    if not result.passages:
        shell.say("Nothing was found. `allma status` shows what is indexed.")
    if result.notice:
        shell.say(result.notice, "yellow")


@command(app, "explain")
async def explain(
    shell: Shell,
    query: Annotated[str, typer.Argument(help="As it is searched for.")],
    top_k: Passages = None,
    path: Glob = None,
    folder: Folder = None,
) -> None:
    """Show why a search finds what it finds, and what it drops."""
    result: Explanation = await shell.run(
        "explain",
        doing="Searching",
        query=query,
        top_k=top_k,
        path=path,
        workspace=_absolute(folder),
    )
    shell.show(result, words=query)
    if result.notice:
        shell.say(result.notice, "yellow")


@command(app, "eval")
async def evaluate(
    shell: Shell,
    questions: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="JSON lines or CSV: question; path, text or lines to be found."
        ),
    ],
    generate: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Let the chat model write so many into a new FILE."),
    ] = None,
    top_k: Annotated[
        int, typer.Option("-k", min=1, max=50, help="Passages of a search to look at.")
    ] = 10,
    against: Annotated[
        str | None,
        typer.Option(metavar="RESULT", help="Compare with what --json printed earlier."),
    ] = None,
    picture: Annotated[
        str | None, typer.Option(metavar="SVG", help="Draw the result into this file.")
    ] = None,
    path: Glob = None,
    folder: Folder = None,
) -> None:
    """Measure search on questions whose answers are known.

    To compare two settings: `allma eval FILE --json > before.json`, change the setting,
    `allma eval FILE --against before.json`.
    """
    result: Evaluation = await shell.run(
        "eval",
        doing="Measuring",
        unit="questions",
        questions=_absolute(questions),
        generate=generate,
        top_k=top_k,
        path=path,
        workspace=_absolute(folder),
        against=_absolute(against),
        picture=_absolute(picture),
    )
    shell.show(result)
    if result.notice:
        shell.say(result.notice, "yellow")


@command(app, "ask")
async def ask(
    shell: Shell,
    question: Annotated[str, typer.Argument(help="In plain language.")],
    folder: Annotated[
        str | None,
        typer.Option("--in", metavar="DIR", help="Answer from this folder; indexed when needed."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Another model than the one in use.")
    ] = None,
    no_rag: Annotated[
        bool, typer.Option("--no-rag", help="A plain chat, without the documents.")
    ] = False,
    conversation: Annotated[
        str | None, typer.Option(metavar="ID", help="Continue this conversation.")
    ] = None,
    top_k: Passages = None,
) -> None:
    """Answer a question from the indexed documents, with sources."""
    arguments = given(
        {
            "question": question,
            "workspace": _absolute(folder),
            "model": model,
            "use_rag": not no_rag,
            "conversation_id": conversation,
            "top_k": top_k,
        }
    )
    async with shell.session() as session:
        if folder is not None:
            with shell.progress("Indexing") as bar:
                await session.run("ingest", {"paths": [_absolute(folder)]}, bar)
        with shell.answering("Reading") as stream:
            answer: Answer = await session.run("ask", arguments, stream)
    shell.show(answer, words=question)
    if answer.caution:
        shell.say(answer.caution, "yellow")
    if answer.notice:
        shell.say(answer.notice, "yellow")
    if answer.stats.truncated:
        shell.say("The model's limit was reached: the answer may lack something.", "yellow")
    shell.say(f'\nContinue: allma ask --conversation {answer.conversation_id} "…"', "dim")


@command(app, "read")
async def read(
    shell: Shell,
    source: Annotated[str, typer.Argument(help="A file, a chunk's id, or an allma:// address.")],
    lines: Annotated[
        str | None, typer.Option("--lines", metavar="A:B", help="Only these lines.")
    ] = None,
    neighbors: Annotated[
        int, typer.Option(min=0, max=20, help="With a chunk's id: chunks around it.")
    ] = 0,
) -> None:
    """Read an indexed document; PDF and DOCX as their text."""
    first, last = _range(lines)
    verbatim = source.isdigit() or "://" in source
    shell.show(
        await shell.run(
            "read",
            source=source if verbatim else _absolute(source),
            start_line=first,
            end_line=last,
            neighbors=neighbors,
        )
    )


def _range(lines: str | None) -> tuple[int | None, int | None]:
    """`A:B`, `A:`, `:B` or `A` as two line numbers."""
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


# --- the ledger ---------------------------------------------------------------------------------


@command(app, "documents")
async def documents(
    shell: Shell,
    state: Annotated[State | None, typer.Option(help="Only those that ended like this.")] = None,
    folder: Folder = None,
) -> None:
    """List what was seen, and why a file was skipped or failed."""
    arguments = given({"state": state, "workspace": _absolute(folder), "limit": 1000})
    async with shell.session() as session:
        page: DocumentPage = await session.run("documents", arguments)
        rows = page.documents
        while page.next_cursor:
            page = await session.run("documents", {**arguments, "cursor": page.next_cursor})
            rows = rows + page.documents
    shell.show(replace(page, documents=rows))
    if not rows:
        shell.say("There are none. `allma index DIR` adds a folder.")


@command(app, "forget")
async def forget(
    shell: Shell,
    path: Annotated[str, typer.Argument(help="An indexed file or folder.")],
) -> None:
    """Take a file or folder out of the index, never from disk."""
    shell.show(await shell.run("forget", path=_absolute(path)))


# --- conversations ------------------------------------------------------------------------------


async def list_conversations(
    shell: Shell,
    words: Annotated[
        str | None, typer.Argument(metavar="WORDS", help="Only those with these words.")
    ] = None,
) -> None:
    """List, show, rename, delete and export conversations."""
    arguments = given({"query": words, "limit": 200})
    async with shell.session() as session:
        page: ConversationPage = await session.run("conversations.list", arguments)
        rows = page.conversations
        while page.next_cursor:
            page = await session.run(
                "conversations.list", {**arguments, "cursor": page.next_cursor}
            )
            rows = rows + page.conversations
    shell.show(replace(page, conversations=rows))
    if not rows:
        shell.say("There are none. `allma ask QUESTION` begins one.")


conversations = group(app, "conversations", list_conversations)
command(conversations, "list", "List them, the latest first.")(list_conversations)


@command(conversations, "show")
async def show_conversation(shell: Shell, id: ConversationId) -> None:
    """Show a conversation with its sources."""
    shell.show(await shell.run("conversations.show", id=id))


@command(conversations, "rename")
async def rename_conversation(
    shell: Shell, id: ConversationId, title: Annotated[str, typer.Argument()]
) -> None:
    """Give a conversation another title."""
    renamed: Conversation = await shell.run("conversations.rename", id=id, title=title)
    if shell.options.json:
        shell.show(renamed)
    shell.say(f"Conversation {id} is now called: {renamed.title}")


@command(conversations, "delete")
async def delete_conversation(shell: Shell, id: ConversationId) -> None:
    """Delete a conversation with all its messages."""
    shell.show(await shell.run("conversations.delete", id=id))


@command(conversations, "export")
async def export_conversation(shell: Shell, id: ConversationId) -> None:
    """Print a conversation as Markdown."""
    shell.show(await shell.run("conversations.export", id=id))


# --- models -------------------------------------------------------------------------------------


async def list_models(shell: Shell) -> None:
    """List, show, pull, use and delete models."""
    result = await shell.run("models.list")
    shell.show(result)
    if not result.models:
        shell.say("None is installed. `allma models pull llama3.2` installs one.")


models = group(app, "models", list_models)
command(models, "list", "List what is installed; a dot marks the one in use.")(list_models)


@command(models, "show")
async def show_model(shell: Shell, name: ModelName) -> None:
    """Show a model's size, context length and capabilities."""
    shell.show(await shell.run("models.show", name=name))


@command(models, "pull")
async def pull_model(shell: Shell, name: ModelName) -> None:
    """Download a model."""
    shell.show(await shell.run("models.pull", doing="Pulling", unit="bytes", name=name))


@command(models, "use")
async def use_model(shell: Shell, name: ModelName) -> None:
    """Choose the model that answers from now on."""
    shell.show(await shell.run("models.use", name=name))


@command(models, "delete")
async def delete_model(shell: Shell, name: ModelName) -> None:
    """Delete a model from the provider's disk."""
    shell.show(await shell.run("models.delete", name=name))


app.add_typer(engine.app)
app.add_typer(clients.app)


# --- the servers --------------------------------------------------------------------------------
# The program starts them before it gets here; here they are listed, and their options explained.


@app.command("lsp")
def lsp(data: Data = None, solo: Solo = False) -> None:
    """Serve an editor: LSP on standard input and output."""
    _must_be_first("lsp")


@app.command("mcp")
def mcp(
    folders: Annotated[
        list[str] | None,
        typer.Option("--workspace", metavar="DIR", help="Search this folder; may be repeated."),
    ] = None,
    data: Data = None,
    solo: Solo = False,
) -> None:
    """Serve an AI client: MCP on standard input and output."""
    _must_be_first("mcp")


def _must_be_first(name: str) -> None:
    raise typer.BadParameter(f"write it first: allma-server {name} [OPTIONS]", param_hint=name)


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)
