"""Lines with styles, and the streams on which results are printed.

Lines are written here and not by rich, whose import takes a quarter of the time of a search. It
lays out what is more than lines: Markdown, progress, and strings to wrap.
"""

import shutil
import sys
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TextIO

from rich.cells import cell_len

from allma_server.cli import streams
from allma_server.locations import is_dumb_terminal, terminal_styles

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text as RichText

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_GREY = {"bold", "dim"}


class Part(NamedTuple):
    """A part of a line; `style` is of words such as `bold cyan`, `link` an address."""

    text: str
    style: str = ""
    link: str | None = None


class Text:
    """A line, or a few, whose parts have styles and links."""

    def __init__(self, text: str = "", style: str = "", link: str | None = None) -> None:
        self.parts = [Part(text, style, link)] if text else []

    @classmethod
    def of(cls, *pieces: "str | tuple[str, str] | Text") -> "Text":
        """Return a text of strings, pairs of a string and its style, and texts."""
        made = cls()
        for piece in pieces:
            match piece:
                case Text():
                    made.parts += piece.parts
                case str():
                    made.append(piece)
                case text, style:
                    made.append(text, style)
        return made

    def append(self, text: str, style: str = "") -> None:
        """Add a string at the end."""
        self.parts += Text(text, style).parts

    def __add__(self, other: "Text") -> "Text":
        return Text.of(self, other)

    def __bool__(self) -> bool:
        return bool(self.plain)

    @property
    def plain(self) -> str:
        """The text alone."""
        return "".join(part.text for part in self.parts)

    @property
    def cell_len(self) -> int:
        """The columns that the text takes in a terminal."""
        return cell_len(self.plain)


class Output:
    """Standard output or error.

    `is_terminal` and `width` are those of the stream, unless they are given.
    """

    def __init__(
        self, stream: TextIO | None, *, is_terminal: bool | None = None, width: int | None = None
    ) -> None:
        self._stream = stream
        self._width = width
        self._is_terminal = bool(stream and stream.isatty()) if is_terminal is None else is_terminal
        self._styles = terminal_styles(is_terminal=self._is_terminal)

    @property
    def is_interactive(self) -> bool:
        """Whether it is a terminal, on which what was written can be changed."""
        return self._is_terminal and not is_dumb_terminal()

    @property
    def width(self) -> int:
        return self._width or shutil.get_terminal_size().columns

    @cached_property
    def console(self) -> "Console":
        """The stream for rich."""
        from rich.console import Console

        class Terminal(Console):
            def on_broken_pipe(self) -> None:
                streams.exit_on_closed_pipe()

        # FORCE_COLOR asks for colours in a pipe, but not for cursor movements.
        terminal = Terminal(
            file=self._stream,
            width=self._width,
            force_terminal=self._is_terminal or None,
            force_interactive=None if self._is_terminal else False,
            highlight=False,
            markup=False,
            emoji=False,
        )
        if terminal.width < 1:
            terminal.width = self.width  # rich accepts COLUMNS=0
        return terminal

    def print(self, item: "Text | RenderableType") -> None:
        """Print a `Text` as it is, and anything else wrapped to the width."""
        if not isinstance(item, Text):
            self.console.print(item)
        elif sys.platform == "win32" and self._styles != "none":
            self.console.print(styled(item), soft_wrap=True)  # older consoles have no codes
        elif self._stream:
            streams.write("".join(map(self._coded, item.parts)) + "\n", self._stream)

    def _coded(self, part: Part) -> str:
        text, style, link = part
        if self._styles == "none":
            return text
        words = [word for word in style.split() if self._styles == "colors" or word in _GREY]
        if words:
            text = f"\x1b[{';'.join(_CODES[word] for word in words)}m{text}\x1b[0m"
        return f"\x1b]8;;{link}\x1b\\{text}\x1b]8;;\x1b\\" if link else text


def styled(text: Text) -> "RichText":
    """Return a text for rich."""
    from rich.style import Style
    from rich.text import Text as RichText

    made = RichText()
    for each in text.parts:
        made.append(each.text, Style.parse(each.style) + Style(link=each.link))
    return made
