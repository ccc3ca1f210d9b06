"""A conversation in the terminal: questions, streamed answers, and commands that begin with `/`."""

import asyncio
import difflib
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from allma_server._internal.paths import absolute
from allma_server._internal.tasks import background_tasks
from allma_server.cli.editor import open_source
from allma_server.cli.last_sources import Source, find_source, recall
from allma_server.cli.output import Text
from allma_server.cli.shell import Shell, given
from allma_server.errors import AllmaError, InvalidArgument

if TYPE_CHECKING:
    from allma_server.protocols.shell.client import Session
    from allma_server.types import Answer

Sessions = Callable[[], "AbstractAsyncContextManager[Session]"]

ENDS = ("/quit", "/exit", "/q")


@dataclass
class Chat:
    """The state of a chat. `asked`: arguments of every question, such as the model."""

    shell: Shell
    sessions: Sessions
    asked: dict[str, Any]
    conversation_id: str | None = None
    answer: "Answer | None" = None

    @cached_property
    def commands(self) -> dict[str, tuple[Callable[[str], Awaitable[None]], str]]:
        """What each command does, and the line of the help about it."""
        return {
            "/help": (self._help, "list the commands"),
            "/sources": (self._sources, "show the sources of the last answer again"),
            "/open": (self._open, "N: open a source in your editor"),
            "/model": (self._model, "NAME: answer with this model; without a name, list them"),
            "/workspace": (self._workspace, "DIR: answer from this folder; all is everything"),
            "/new": (self._new, "begin another conversation"),
        }

    @property
    def help(self) -> dict[str, str]:
        """What each command is for."""
        return {name: about for name, (_, about) in self.commands.items()} | {ENDS[0]: "end"}

    async def handle(self, text: str) -> None:
        """Run a command, or answer a question; a failure is printed."""
        name, _, rest = text.partition(" ")
        try:
            if not text.startswith("/") or "/" in name[1:]:
                await self._ask(text)
            elif name in self.commands:
                await self.commands[name][0](rest.strip())
            else:
                similar = difflib.get_close_matches(name, self.commands, 1) or ["/help"]
                raise InvalidArgument(f"There is no command {name}.", f"Try {similar[0]}.")
        except AllmaError as error:
            self.conversation_id = error.conversation_id or self.conversation_id
            error.conversation_id = None  # the next question continues it
            self.shell.fail(error)

    async def _ask(self, question: str) -> None:
        arguments = {**self.asked, "question": question, "conversation_id": self.conversation_id}
        with self.shell.answering("Reading") as stream:
            try:
                async with self.sessions() as session:
                    answer: Answer = await session.run("ask", given(arguments), stream)
            finally:
                known = getattr(stream, "conversation_id", None)
                self.conversation_id = known or self.conversation_id
        self.answer = answer
        self.shell.show_answer(answer, question)

    async def _help(self, _: str) -> None:
        for name, about in self.help.items():
            self.shell.out.print(Text(f"  {name:<12}{about}"))
        self.shell.out.print(
            "\nAlt-Enter, or \\ at the end of a line, begins another line. Tab completes commands "
            "and paths. Ctrl-C stops an answer."
        )

    async def _sources(self, _: str) -> None:
        if self.answer is None or not self.answer.citations:
            raise InvalidArgument("There are no sources yet.", "Ask a question first.")
        self.shell.show(self.answer)

    async def _open(self, number: str) -> None:
        if not number.isdecimal():
            raise InvalidArgument("/open needs the number of a source.", "/sources lists them.")
        own = sources_of(self.answer)
        known = find_source(own, int(number)) if own else recall(self.shell.data_dir, int(number))
        await open_source(known)

    async def _model(self, name: str) -> None:
        async with self.sessions() as session:
            if not name:
                self.shell.show(await session.run("models.list", {}))
                return
            model = await session.run("models.show", {"name": name})
        self.asked["model"] = model.name
        self.shell.say(f"{model.name} answers from now on, in this chat.")

    async def _workspace(self, folder: str) -> None:
        if folder:
            wanted = folder if folder == "all" else absolute(folder)
            async with self.sessions() as session:
                await session.run("documents", {"workspace": wanted, "limit": 1})
            self.asked["workspace"] = wanted
        where = self.asked.get("workspace") or "the current folder, if it is indexed"
        self.shell.say(f"Answers come from {'everything' if where == 'all' else where}.")

    async def _new(self, _: str) -> None:
        self.conversation_id = self.answer = None
        self.shell.say("A new conversation.")


def sources_of(answer: "Answer | None") -> list[Source]:
    """Return the sources of an answer as `open` takes them."""
    return [
        Source(c.number, c.passage.path, c.passage.start_line, c.passage.page)
        for c in (answer.citations if answer else ())
    ]


async def run(chat: Chat, questions: Callable[[], Awaitable[str]]) -> None:
    """Answer what the user writes until they end it; Ctrl-C ends only an answer.

    `questions` reads the next one; it raises EOFError at the end, KeyboardInterrupt for none.
    """
    while True:
        try:
            text = (await questions()).strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text in ENDS:
            return
        if text:
            await _stoppable(chat, text)


async def _stoppable(chat: Chat, text: str) -> None:
    """Handle a text until Ctrl-C is pressed."""
    loop = asyncio.get_running_loop()
    async with background_tasks() as tasks:
        work = tasks.create_task(chat.handle(text))
        with suppress(NotImplementedError):  # on Windows Ctrl-C ends the chat
            loop.add_signal_handler(signal.SIGINT, work.cancel)
        try:
            await asyncio.wait({work})
        finally:
            with suppress(NotImplementedError):
                loop.remove_signal_handler(signal.SIGINT)
        if work.cancelled():
            chat.shell.say("Stopped.")
        else:
            work.result()  # raises what is a bug


@asynccontextmanager
async def sessions_of(shell: Shell) -> AsyncGenerator[Sessions]:
    """Yield what opens a session for a question, which ends with it, also where it is stopped."""
    if not shell.options.solo:
        yield shell.session
        return
    async with shell.session() as only:  # an engine in this process takes seconds to open

        @asynccontextmanager
        async def same() -> AsyncGenerator["Session"]:
            yield only

        yield same


def choices(chat: Chat) -> dict[str, Callable[[], Awaitable[Sequence[str]]]]:
    """Return what completes the arguments of commands that are no paths."""

    async def models() -> list[str]:
        async with chat.sessions() as session:
            return [model.name for model in (await session.run("models.list", {})).models]

    async def numbers() -> list[str]:
        return [str(source.number) for source in sources_of(chat.answer)]

    return {"/model": models, "/open": numbers}
