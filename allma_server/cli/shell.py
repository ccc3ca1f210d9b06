"""One run of a command: its options, engine, output streams and exit code."""

import json
import logging
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allma_server._internal.path_text import actual, readable, shown
from allma_server.cli import streams
from allma_server.cli.last_sources import Source, remember
from allma_server.errors import AllmaError, PathNotFound, as_dict

if TYPE_CHECKING:
    from allma_server.cli.output import Output
    from allma_server.cli.progress import Bar
    from allma_server.config import Config
    from allma_server.ports import Progress
    from allma_server.protocols.shell.client import Session
    from allma_server.types import Answer

_log = logging.getLogger(__name__)

DONE, FAILED, INTERRUPTED, TERMINATED = 0, 1, 130, 143

_CREATING = {"ingest", "ask", "models.pull", "models.use", "login"}
"""Operations that may create the data directory."""


Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]
Data = Annotated[str | None, typer.Option(metavar="DIR", help="Use this data directory.")]
Solo = Annotated[bool, typer.Option("--solo", help="Run an engine in this process only.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show warnings of the log on stderr.")
]


@dataclass(frozen=True, slots=True)
class Options:
    """Options of every command, before or after its name."""

    json: Json = False
    data: Data = None
    solo: Solo = False
    verbose: Verbose = False

    def over(self, outer: "Options | None") -> "Options":
        """Return these options with those given before the command's name."""
        if outer is None:
            return self
        return Options(
            json=self.json or outer.json,
            data=self.data or outer.data,
            solo=self.solo or outer.solo,
            verbose=self.verbose or outer.verbose,
        )


class Shell:
    """The environment of a command. Results go to stdout, everything else to stderr."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @cached_property
    def config(self) -> "Config":
        """The settings.

        Raises:
            InvalidArgument: a setting is unknown or not valid.
        """
        from allma_server.config import load_config  # late: not for the help

        return load_config({"data_dir": self.options.data})

    @cached_property
    def data_dir(self) -> Path:
        """The data directory.

        Raises:
            InvalidArgument: a setting is unknown or not valid, which a running engine has not seen.
        """
        from allma_server.daemon.link import started  # late: not for the help
        from allma_server.locations import data_dir, settings_after

        data = data_dir(self.options.data)
        # Reading all settings takes as long as the rest of a search in a running engine.
        return self.config.data_dir if settings_after(started(data)) else data

    @cached_property
    def out(self) -> "Output":
        """Standard output."""
        from allma_server.cli.output import Output  # late: not for the help

        return Output(sys.stdout)

    @cached_property
    def err(self) -> "Output":
        """Standard error."""
        from allma_server.cli.output import Output  # late: not for the help

        return Output(sys.stderr)

    @asynccontextmanager
    async def session(self) -> "AsyncGenerator[Session]":
        """Open a session with an engine, which runs operations.

        Raises:
            StorageError: the data directory cannot be used.
        """
        from allma_server.protocols.shell.client import open_session  # late: not for the help

        async with open_session(
            self.data_dir,
            lambda: self.config,
            solo=self.options.solo,
            verbose=self.options.verbose,
        ) as session:
            yield session

    async def run(
        self, operation: str, /, doing: str = "", unit: str = "files", **arguments: object
    ) -> Any:
        """Run an operation with the arguments that are not None; `doing` labels the progress."""
        self._require_data(operation)
        with self.progress(doing, unit) as progress:
            async with self.session() as session:
                return await session.run(operation, given(arguments), progress)

    async def search(self, operation: str, /, **arguments: object) -> Any:
        """Run an operation that is seldom waited for; progress appears only if it takes long."""
        self._require_data(operation)
        with self._late_progress("Searching") as progress:
            async with self.session() as session:
                return await session.run(operation, given(arguments), progress)

    async def run_paged(self, operation: str, rows: str, /, **arguments: object) -> Any:
        """Run an operation for all its pages and join them; `rows` is the field with the list."""
        self._require_data(operation)
        async with self.session() as session:
            page = await session.run(operation, given(arguments))
            found = getattr(page, rows)
            while page.next_cursor:
                page = await session.run(operation, given(arguments) | {"cursor": page.next_cursor})
                found = found + getattr(page, rows)
        return replace(page, **{rows: found})

    def _require_data(self, operation: str) -> None:
        """Check that the data directory of `--data` exists, unless the operation may create it.

        Raises:
            PathNotFound: it does not exist.
        """
        if self.options.data is None or operation in _CREATING or self.data_dir.exists():
            return
        raise PathNotFound(
            f"There is no data directory {self.data_dir}.",
            "`allma index DIR` creates it.",
        )

    @contextmanager
    def progress(self, doing: str, unit: str = "files") -> "Generator[Bar | None]":
        """Show progress on stderr, if it is a terminal."""
        if not doing or not self.err.is_interactive:
            yield None
            return
        from allma_server.cli.progress import Bar  # late: not for the help

        with Bar(self.err.console, doing, unit) as bar:
            yield bar

    @contextmanager
    def _late_progress(self, doing: str) -> "Generator[Progress | None]":
        if not self.err.is_interactive:
            yield None
            return
        from allma_server.cli.late_bar import LateBar  # late: not for the help

        def bar() -> "Bar":
            from allma_server.cli.progress import Bar  # late: imported if it takes long

            return Bar(self.err.console, doing)

        with LateBar(bar) as progress:
            yield progress

    @property
    def is_dialog(self) -> bool:
        """Whether a user can be asked: both streams are terminals, and the result is no JSON."""
        return sys.stdin.isatty() and self.out.is_interactive and not self.options.json

    def secret(self, what: str) -> str:
        """Read a secret without echo, or the first line of a pipe; at most 10,000 characters.

        It is never an argument, because other users of the machine can see arguments.
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
        """Stream an answer to stdout, unless the output is JSON."""
        with self.progress(doing) as bar:
            if self.options.json:
                yield bar
                return
            from allma_server.cli.progress import AnswerStream  # late: not for the help

            with streams.hidden_interrupt(), AnswerStream(self.out.console, bar) as stream:
                yield stream

    def show(self, result: object, words: str = "", *, whole: bool = False) -> None:
        """Print a result as JSON or as text.

        `words` are highlighted in passages, which are cut around them unless `whole`.
        """
        if self.options.json:
            self.json(result)
            return
        from allma_server.cli.page import page_of  # late: not for the help
        from allma_server.cli.views import view

        page = page_of(self.out, words, whole=whole)
        for item in view(result, page):
            page.print(item)

    def show_answer(self, answer: "Answer", question: str) -> None:
        """Print the sources and the warnings of an answer, whose text has been streamed."""
        self.show(answer, words=question)
        self.warn(answer.caution)
        self.warn(answer.notice)
        if answer.stats.truncated and answer.grounding != "cut_off":
            self.warn("The answer may be incomplete: the model's limit was reached.")
        places = ((c.number, c.passage) for c in answer.citations)
        self.remember([Source(n, p.path, p.start_line, p.page) for n, p in places])

    def remember(self, sources: "Sequence[Source]") -> None:
        """Keep the sources that were shown for `allma open N`."""
        remember(self.data_dir, sources)

    def show_files(self, paths: Sequence[str]) -> None:
        """Print paths, one a line; to a pipe as other programs take them."""
        if self.options.json:
            self.json(paths)
            return
        from allma_server.cli.output import Text  # late: not for the help
        from allma_server.cli.page import page_of

        page = page_of(self.out)
        for path in paths:
            name = page.location(path, style="")
            # A name with line ends would look like several.
            if not page.terminal and readable(actual(path)) == shown(path):
                name = Text(actual(name.plain))
            page.print(name)

    def json(self, data: object) -> None:
        """Print one JSON document; bytes of a file name that are not UTF-8 become `%E9`."""
        text = shown(json.dumps(data, default=_fields, ensure_ascii=False, indent=2))
        if not streams.supports_unicode():
            text = json.dumps(json.loads(text), indent=2)
        streams.write(text + "\n")

    def say(self, sentence: str, style: str = "") -> None:
        """Print a remark to stderr, unless the output is JSON, which has it in the result."""
        if not self.options.json:
            self._print(sentence, style)

    def warn(self, sentence: str | None) -> None:
        """Print a warning to stderr, if there is one."""
        if sentence:
            self.say(sentence, "yellow")

    def fail(self, error: AllmaError) -> int:
        """Print a failure and return its exit code."""
        if self.options.json:
            self.json(as_dict(error))
        self._print(f"Error: {error.message}", "red")
        if error.hint:
            self._print(error.hint)
        if error.conversation_id:
            self._print(f'Continue: allma ask --conversation {error.conversation_id} "…"', "dim")
        return FAILED

    def _print(self, sentence: str, style: str = "") -> None:
        from allma_server.cli.output import Text  # late: not for the help

        # File names in a sentence must not add lines to it.
        sentence = "\n".join(readable(line) for line in sentence.split("\n"))
        self.err.print(Text(sentence, style))


Command = Callable[..., Coroutine[Any, Any, int | None]]
"""An async function of the shell and the command line's arguments that returns an exit code."""


def complete(function: Command, options: Options, arguments: Mapping[str, Any]) -> int:
    """Run a command and return its exit code.

    Raises:
        BadParameter: the command line is wrong in a way that only the command can check.
    """
    import asyncio  # late: not for the help, whose time it would lengthen by a third

    shell = Shell(options)
    try:
        return asyncio.run(_terminable(function(shell, **arguments))) or DONE
    except AllmaError as error:
        return shell.fail(error)
    except KeyboardInterrupt:
        shell.say("Stopped.")
        return INTERRUPTED
    except asyncio.CancelledError:
        shell.say("Stopped.")
        return TERMINATED
    except typer.BadParameter:
        raise  # typer prints it as wrong usage
    except Exception as error:
        if isinstance(error, OSError) and streams.is_write_failure(error):
            raise  # printed by main(), since printing the help can fail the same way
        return _bug(shell)


async def _terminable(work: Coroutine[Any, Any, int | None]) -> int | None:
    """Cancel the work on SIGTERM, as Ctrl-C does, so that an answer so far is stored."""
    import asyncio  # late: not for the help

    task = asyncio.current_task()
    assert task is not None
    # Not on Windows, nor outside of the main thread.
    with suppress(NotImplementedError, RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def _bug(shell: Shell) -> int:
    from allma_server._internal.logs import log_file, logging_to  # late: rarely needed

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
    """Return the arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}
