"""The line in which a chat's user writes: several lines, history, completion."""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import (
    CompleteEvent,
    Completer,
    Completion,
    PathCompleter,
)
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import AnyFormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import create_output
from prompt_toolkit.output.vt100 import Vt100_Output

from allma_server._internal.private import (
    is_foreign,
    make_private_file,
    make_private_folder,
    tighten,
)
from allma_server.errors import AllmaError

HISTORY = "chat_history"

Choices = Mapping[str, Callable[[], Awaitable[Sequence[str]]]]
"""Functions that return the values of a command."""


def reader(
    data: Path, commands: Mapping[str, str], choices: Choices
) -> Callable[[], Awaitable[str]]:
    """Return a function that reads the next question.

    Raises, when it is called:
        KeyboardInterrupt: the user has dropped the line with Ctrl-C.
        EOFError: the user has ended the input with Ctrl-D.
    """
    output = create_output()
    if isinstance(output, Vt100_Output):
        # Asked where the cursor is, a slow terminal answers when the question is over, and types.
        output.enable_cpr = False
    session = PromptSession[str](
        output=output,
        multiline=True,
        history=_history(data),
        completer=_Completer(commands, choices),
        complete_while_typing=False,
        key_bindings=_keys(),
        prompt_continuation="  ",
    )
    style: AnyFormattedText = [("bold ansigreen", "> ")]

    async def read() -> str:
        return await session.prompt_async(style)

    return read


def _history(data: Path) -> History:
    """Return the questions of earlier chats, which only the user can read."""
    file = data / HISTORY
    with contextlib.suppress(OSError):
        make_private_folder(data)
        make_private_file(file)
        tighten(file)
        if not is_foreign(file) and not file.is_symlink() and file.is_file():
            return FileHistory(str(file))
    return InMemoryHistory()


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def accept(event: KeyPressEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def newline(event: KeyPressEvent) -> None:  # pyright: ignore[reportUnusedFunction]
        event.current_buffer.newline(copy_margin=False)

    return keys


class _Completer(Completer):
    """Completes commands, their values, and paths."""

    def __init__(self, commands: Mapping[str, str], choices: Choices) -> None:
        self._commands = commands
        self._choices = choices
        self._paths = PathCompleter(expanduser=True)

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        return ()  # the engine can only be asked in a loop

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion]:
        text = document.text_before_cursor
        command, space, rest = text.partition(" ")
        if not space and text.startswith("/"):
            for name, about in self._commands.items():
                if name.startswith(text):
                    yield Completion(name, -len(text), display_meta=about)
        if space and (values := self._choices.get(command)) is not None:
            with contextlib.suppress(AllmaError):
                for value in await values():
                    if value.startswith(rest):
                        yield Completion(value, -len(rest))
            return
        word = text.rpartition(" ")[2]
        if command == "/workspace" or "/" in word[1:] or word.startswith((".", "~")):
            for found in self._paths.get_completions(Document(word), complete_event):
                yield found
