"""The commands that ask questions and manage conversations."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allma_server.cli import completions
from allma_server.cli.commands.options import Everything, Glob, Passages, Scope, absolute
from allma_server.cli.program import command, group
from allma_server.cli.shell import Shell, given
from allma_server.errors import ConversationNotFound, InvalidArgument

if TYPE_CHECKING:
    from allma_server.protocols.shell.client import Session
    from allma_server.types import Answer, Conversation, ConversationPage

app = typer.Typer()


Thinking = StrEnum("Thinking", ["AUTO", "ON", "OFF"])
"""The values of `types.Think`, as options have them."""


Think = Annotated[
    Thinking | None, typer.Option(help="Whether the model thinks first, where it can.")
]


@dataclass(frozen=True, slots=True)
class How:
    """How a question is answered."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Use this model for the answer.",
            autocompletion=completions.models,
        ),
    ] = None
    no_rag: Annotated[bool, typer.Option("--no-rag", help="Chat without the documents.")] = False
    deep: Annotated[
        bool, typer.Option("--deep", help="Search for each part of the question; takes longer.")
    ] = False
    think: Think = None
    top_k: Passages = None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the operation."""
        return {
            "model": self.model,
            "use_rag": not self.no_rag,
            "deep": self.deep,
            "think": self.think.value if self.think else None,
            "top_k": self.top_k,
        }


@dataclass(frozen=True, slots=True)
class Earlier:
    """The conversation that a question continues."""

    conversation: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Continue this one; its beginning is enough.",
            autocompletion=completions.conversations,
        ),
    ] = None
    latest: Annotated[
        bool, typer.Option("--continue", "-c", help="Continue the latest conversation.")
    ] = False

    async def conversation_id(self, session: "Session") -> str | None:
        """Return the id that was given, or the latest one; None for a new conversation.

        Raises:
            BadParameter: both are wanted.
            ConversationNotFound: there is none to continue.
        """
        if not self.latest:
            return self.conversation
        if self.conversation:
            raise typer.BadParameter("choose one of --conversation and --continue.")
        page: ConversationPage = await session.run("conversations.list", {"limit": 1})
        if not page.conversations:
            raise ConversationNotFound("No conversations yet.", "Ask without -c to start one.")
        return page.conversations[0].id


FIRST_INDEX_SECONDS = 60
"""How long `ask --in DIR` waits for indexing before it answers from what is indexed so far."""


@command(
    app,
    "ask",
    examples=[
        "allma ask how are requests retried",
        "allma ask -c and where is that set",
        "git diff | allma ask what does this change",
        'allma ask --in ~/contracts "Which contracts end this year?"',
    ],
)
async def ask(
    shell: Shell,
    how: How,
    earlier: Earlier,
    words: Annotated[
        list[str] | None,
        typer.Argument(help="A question; quotes are not needed.", metavar="QUESTION"),
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option(
            "--in",
            metavar="DIR",
            help="Answer from this folder; indexed when needed.",
            parser=absolute,
        ),
    ] = None,
    path: Glob = None,
    everything: Everything = False,
) -> None:
    """Answer a question from the documents of the current folder's workspace, with sources.

    Text that is piped to the command belongs to the question, and is not indexed:
    `git diff | allma ask what does this change`. With - alone, it is the question.
    """
    if folder and everything:
        raise typer.BadParameter("choose one of --in and --all.")
    question, text = _question(shell, words or [])
    workspace = "all" if everything else folder
    asked = {"question": question, "text": text or None, "workspace": workspace, "path": path}
    async with shell.session() as session:
        asked["conversation_id"] = await earlier.conversation_id(session)
        if folder is not None:
            await _index(shell, session, folder)
        with shell.answering("Reading") as stream:
            answer: Answer = await session.run("ask", given({**asked, **how.arguments()}), stream)
    shell.show_answer(answer, question)
    scope = Scope(path, folder, everything)
    shell.warn(scope.notice(citation.passage for citation in answer.citations))
    if answer.conversation_id:
        shell.say(f'\nContinue: allma ask --conversation {answer.conversation_id} "…"', "dim")


def _question(shell: Shell, words: Sequence[str]) -> tuple[str, str]:
    """Return the question, and the text that is piped with it.

    Raises:
        BadParameter: there is no question.
    """
    from allma_server.cli.stdin import piped_text  # late: not for the help

    text = piped_text(expected="-" in words[-1:])
    question = " ".join(words[:-1] if "-" in words[-1:] else words)
    if text is None:
        shell.say("Nothing was piped in time. To wait for it, end the question with -", "yellow")
    if not question and not text:
        raise typer.BadParameter("Ask something, such as: allma ask how does this work")
    return (question, text or "") if question else (text or "", "")


async def _index(shell: Shell, session: "Session", folder: str) -> None:
    """Index a folder before a question; the shared engine continues after the time limit."""
    # With --solo the engine ends with this command, so indexing must be complete.
    wait = None if shell.options.solo else FIRST_INDEX_SECONDS
    arguments = given({"paths": [folder], "wait_seconds": wait, "keep_unmounted": True})
    with shell.progress("Indexing") as bar:
        await session.run("ingest", arguments, bar)


@command(app, "chat", examples=["allma chat", "allma chat -c", "allma chat --model llama3.2"])
async def chat(
    shell: Shell,
    how: How,
    earlier: Earlier,
    scope: Scope,
) -> None:
    """Ask and go on asking, in the terminal.

    /help lists what else can be written. Ctrl-C stops an answer, Ctrl-D ends the chat.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidArgument(
            "A chat needs a terminal.", "Ask with `allma ask QUESTION`, go on with `allma ask -c`."
        )
    from allma_server.cli import chat as chats  # late: not for the help
    from allma_server.cli.prompt import reader

    asked = given({**scope.arguments(), **how.arguments()})
    async with chats.sessions_of(shell) as sessions:
        state = chats.Chat(shell, sessions, asked)
        async with sessions() as session:
            state.conversation_id = await earlier.conversation_id(session)
            if (id := state.conversation_id) is not None:
                known: Conversation = await session.run("conversations.show", {"id": id})
                shell.say(f"Continuing: {known.title}")
        shell.say("Ask about your documents. /help lists the commands, Ctrl-D ends.", "dim")
        await chats.run(state, reader(shell.data_dir, state.help, chats.choices(state)))
    if state.conversation_id is not None:
        shell.say(f"Continue: allma chat --conversation {state.conversation_id}", "dim")


Id = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The conversation's id; its beginning is enough.",
        autocompletion=completions.conversations,
    ),
]


async def list_conversations(
    shell: Shell,
    words: Annotated[
        str | None, typer.Argument(metavar="WORDS", help="Only those that contain these words.")
    ] = None,
) -> None:
    """List, show, rename, delete and export conversations."""
    found: ConversationPage = await shell.run_paged(
        "conversations.list", "conversations", query=words, limit=200
    )
    shell.show(found)
    if not found.conversations:
        found_none = f"No conversation contains {words!r}." if words else "No conversations yet."
        shell.say(f"{found_none} `allma ask QUESTION` starts one.")


conversations = group(app, "conversations", list_conversations)
command(conversations, "list", "List conversations, latest first.")(list_conversations)


@command(conversations, "show")
async def show_conversation(shell: Shell, id: Id) -> None:
    """Show a conversation with its sources."""
    shell.show(await shell.run("conversations.show", id=id))


@command(conversations, "rename")
async def rename_conversation(
    shell: Shell, id: Id, title: Annotated[str, typer.Argument()]
) -> None:
    """Rename a conversation."""
    renamed: Conversation = await shell.run("conversations.rename", id=id, title=title)
    if shell.options.json:
        shell.show(renamed)
    shell.say(f"Renamed conversation {id}: {renamed.title}")


@command(conversations, "delete")
async def delete_conversation(shell: Shell, id: Id) -> None:
    """Delete a conversation and its messages."""
    shell.show(await shell.run("conversations.delete", id=id))


@command(conversations, "export")
async def export_conversation(shell: Shell, id: Id) -> None:
    """Print a conversation as Markdown."""
    shell.show(await shell.run("conversations.export", id=id))
