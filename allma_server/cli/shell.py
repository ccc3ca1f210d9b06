"""One run of a command: its options, its engine, its two streams, and its exit code."""

import json
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allma_server._internal.path_text import readable, shown
from allma_server.cli import streams
from allma_server.errors import AllmaError, PathNotFound, as_dict

if TYPE_CHECKING:
    from rich.console import Console

    from allma_server.cli.progress import Bar
    from allma_server.config import Config
    from allma_server.ports import Progress
    from allma_server.protocols.shell.client import Session

_log = logging.getLogger(__name__)

DONE, FAILED, INTERRUPTED = 0, 1, 130

_FILLING = {"ingest", "ask", "models.pull", "models.use"}
"""Operations that a data directory is made for."""


Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]
Data = Annotated[str | None, typer.Option(metavar="DIR", help="The data directory to use.")]
Solo = Annotated[bool, typer.Option("--solo", help="Run the engine in this process; share none.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show the log's warnings on stderr.")
]


@dataclass(frozen=True, slots=True)
class Options:
    """What every command takes, before or after its name."""

    json: Json = False
    data: Data = None
    solo: Solo = False
    verbose: Verbose = False

    def over(self, outer: "Options | None") -> "Options":
        """These options, completed by those that stood further left."""
        if outer is None:
            return self
        return Options(
            json=self.json or outer.json,
            data=self.data or outer.data,
            solo=self.solo or outer.solo,
            verbose=self.verbose or outer.verbose,
        )


class Shell:
    """What a command works with. Results go to stdout, everything else to stderr."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @cached_property
    def config(self) -> "Config":
        """The settings in force.

        Raises:
            InvalidArgument: one of them is unknown or not valid.
        """
        # pydantic takes longer to import than the shell's help takes to print.
        from allma_server.config import load_config

        return load_config({"data_dir": self.options.data})

    @cached_property
    def out(self) -> "Console":
        """Standard output."""
        return _console(stderr=False)

    @cached_property
    def err(self) -> "Console":
        """Standard error."""
        return _console(stderr=True)

    @asynccontextmanager
    async def session(self) -> "AsyncGenerator[Session]":
        """An engine to run operations on.

        Raises:
            StorageError: the data directory cannot be used.
        """
        from allma_server.protocols.shell.client import open_session

        async with open_session(
            self.config, solo=self.options.solo, verbose=self.options.verbose
        ) as session:
            yield session

    async def run(
        self, operation: str, /, doing: str = "", unit: str = "files", **arguments: object
    ) -> Any:
        """The result of one operation; `doing` is shown while it works. None is left out."""
        self._require_data(operation)
        with self.progress(doing, unit) as progress:
            async with self.session() as session:
                return await session.run(operation, given(arguments), progress)

    async def run_paged(self, operation: str, rows: str, /, **arguments: object) -> Any:
        """The result of an operation that answers in pages, as one; `rows` is what it lists."""
        self._require_data(operation)
        async with self.session() as session:
            page = await session.run(operation, given(arguments))
            found = getattr(page, rows)
            while page.next_cursor:
                page = await session.run(operation, given(arguments) | {"cursor": page.next_cursor})
                found = found + getattr(page, rows)
        return replace(page, **{rows: found})

    def _require_data(self, operation: str) -> None:
        """Refuses to look into a named data directory that is not there: it would be made.

        Raises:
            PathNotFound: so it is, and the operation puts nothing into it.
        """
        if self.options.data is None or operation in _FILLING or self.config.data_dir.exists():
            return
        raise PathNotFound(
            f"There is no data directory {self.config.data_dir}.",
            "`allma index DIR` makes one there.",
        )

    @contextmanager
    def progress(self, doing: str, unit: str = "files") -> "Generator[Bar | None]":
        """Progress on stderr, when somebody sees it there."""
        if not doing or not self.err.is_interactive:
            yield None
            return
        from allma_server.cli.progress import Bar

        with Bar(self.err, doing, unit) as bar:
            yield bar

    def secret(self, what: str) -> str:
        """What somebody types without seeing it, or the first line of a pipe; at most 10,000 signs.

        Never an argument: other users of the machine may see those.
        """
        if not sys.stdin.isatty():
            return sys.stdin.readline(10_000)
        import getpass

        try:
            return getpass.getpass(f"{what}: ")
        except EOFError:
            return ""

    @contextmanager
    def answering(self, doing: str) -> "Generator[Progress | None]":
        """An answer on stdout while it is written; nothing when JSON was asked for."""
        with self.progress(doing) as bar:
            if self.options.json:
                yield bar
                return
            from allma_server.cli.progress import AnswerStream

            with AnswerStream(self.out, bar) as stream:
                yield stream

    def show(self, result: object, words: str = "") -> None:
        """Prints a result: as JSON, or as its view. `words` are highlighted in passages."""
        if self.options.json:
            self.json(result)
            return
        from allma_server.cli.page import page_of
        from allma_server.cli.views import view

        page = page_of(self.out, words)
        for item in view(result, page):
            page.print(item)

    def json(self, data: object) -> None:
        """Prints one JSON document; what of a file name is not UTF-8 stands as `%E9` in it."""
        text = shown(json.dumps(data, default=_fields, ensure_ascii=False, indent=2))
        if not streams.unicode():
            text = json.dumps(json.loads(text), indent=2)
        streams.write(text + "\n")

    def say(self, sentence: str, style: str = "") -> None:
        """A remark beside the result; programs that asked for JSON have it in the result."""
        if not self.options.json:
            self._tell(sentence, style)

    def warn(self, sentence: str | None) -> None:
        """A remark that should not be missed, where there is one."""
        if sentence:
            self.say(sentence, "yellow")

    def fail(self, error: AllmaError) -> int:
        """Tells of a failure, and the exit code for it."""
        if self.options.json:
            self.json(as_dict(error))
        self._tell(f"Error: {error.message}", "red")
        if error.hint:
            self._tell(error.hint)
        if error.conversation_id:
            self._tell(f'Continue: allma ask --conversation {error.conversation_id} "…"', "dim")
        return FAILED

    def _tell(self, sentence: str, style: str = "") -> None:
        # It may name files, in many lines only where it was written so.
        sentence = "\n".join(readable(line) for line in sentence.split("\n"))
        self.err.print(sentence, style=style, soft_wrap=True)


Command = Callable[..., Coroutine[Any, Any, int | None]]
"""An async function of the shell and the command line's arguments; returns its exit code."""


def complete(function: Command, options: Options, arguments: Mapping[str, Any]) -> int:
    """Runs a command to its end; its exit code, or that of the failure.

    Raises:
        BadParameter: the command line is wrong in a way that only the command can see.
    """
    import asyncio  # after the help has been printed: it takes a third of that time

    shell = Shell(options)
    try:
        return asyncio.run(function(shell, **arguments)) or DONE
    except AllmaError as error:
        return shell.fail(error)
    except KeyboardInterrupt:
        shell.say("Stopped.")
        return INTERRUPTED
    except typer.BadParameter:
        raise  # wrong usage, which typer tells
    except Exception as error:
        if isinstance(error, OSError) and streams.unwritable(error):
            raise  # told by the program, whose help may meet it too
        return _bug(shell)


def _bug(shell: Shell) -> int:
    from allma_server._internal.logs import log_file, logging_to

    try:
        data_dir = shell.config.data_dir
    except AllmaError as error:
        return shell.fail(error)
    with logging_to(data_dir):
        _log.exception("The command failed")
    return shell.fail(
        _Bug("Unexpected error.", f"Please report it with the log at {log_file(data_dir)}.")
    )


class _Bug(AllmaError):
    code = "internal_error"


def _fields(value: object) -> dict[str, object]:
    if not is_dataclass(value) or isinstance(value, type):
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return {f.name: getattr(value, f.name) for f in fields(value)}


def given(arguments: Mapping[str, object]) -> dict[str, object]:
    """The arguments that were given."""
    return {name: value for name, value in arguments.items() if value is not None}


def _console(*, stderr: bool) -> "Console":
    from rich.console import Console

    class Terminal(Console):
        def on_broken_pipe(self) -> None:
            streams.reader_left()

    # FORCE_COLOR asks for colours in a pipe, not for moving the cursor there.
    stream = sys.stderr if stderr else sys.stdout
    interactive = None if stream and stream.isatty() else False
    terminal = Terminal(
        stderr=stderr, force_interactive=interactive, highlight=False, markup=False, emoji=False
    )
    if terminal.width < 1:
        terminal.width = 80  # COLUMNS=0 is no width, though rich takes it for one
    return terminal
