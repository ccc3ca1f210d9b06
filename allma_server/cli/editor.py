"""Open a file at a line, in the user's editor."""

import asyncio
import contextlib
import os
import shlex
import shutil
import sys
from pathlib import Path

from allma_server._internal.path_text import actual
from allma_server.cli.last_sources import Source
from allma_server.errors import InvalidArgument, PathNotFound
from allma_server.locations import editor

_PLUS = "vi vim nvim view gvim nano emacs emacsclient kak micro gedit mg joe ne mcedit".split()
_COLON = "subl sublime_text zed zeditor hx helix".split()
_GOTO = "code code-insiders codium vscodium cursor windsurf".split()
_LINE = "kate idea pycharm webstorm goland clion rubymine phpstorm rider".split()
_USUAL = ("nano", "vim", "vi", "notepad")
"""Editors for users who have named none."""

_HEAD = 8_000
"""Bytes of a file that tell text from anything else."""


async def open_source(source: Source) -> None:
    """Open a source: text in the editor at its line, anything else in the program for it.

    Raises:
        PathNotFound: the file does not exist.
        InvalidArgument: there is no program to open it with.
    """
    path = Path(actual(source.path))
    if not path.is_absolute():
        raise InvalidArgument(f"{source.path} is no file.", "It was given with the question.")
    if source.page is None and _is_text(path, source):
        await edit(path, source.line)
        return
    import webbrowser  # late: rarely needed

    # A browser shows PDF at a page, and hands other formats to their programs.
    page = f"#page={source.page}" if source.page and path.suffix.lower() == ".pdf" else ""
    if not webbrowser.open(path.as_uri() + page):
        raise InvalidArgument(f"No program opens {source.path}.", "Set BROWSER to one that does.")


async def edit(path: Path, line: int | None = None) -> None:
    """Open a file in the editor, and wait until that has ended.

    Raises:
        InvalidArgument: there is no editor.
    """
    command = command_line(editor() or _usual(), str(path), line)
    try:
        process = await asyncio.create_subprocess_exec(*command)
    except OSError as exc:
        raise InvalidArgument(
            f"The editor {command[0]!r} cannot be started: {exc.strerror}.",
            "Set VISUAL or EDITOR to another one.",
        ) from exc
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()


def command_line(editor: str, path: str, line: int | None) -> list[str]:
    """Return the command that opens a file, at a line if this editor is known.

    Raises:
        InvalidArgument: there is no editor.
    """
    words: list[str] = []
    with contextlib.suppress(ValueError):
        words = shlex.split(editor, posix=os.name == "posix")
    if not words:
        raise InvalidArgument("No editor is known.", "Set VISUAL or EDITOR, such as EDITOR=nano.")
    name = Path(words[0]).name.removesuffix(".exe").removesuffix(".cmd")
    if name in _GOTO:
        # Such an editor is often set with --wait, as git needs it; it stays.
        return [*words, "--goto", f"{path}:{line or 1}"]
    if line is None:
        return [*words, path]
    if name in _COLON:
        return [*words, f"{path}:{line}"]
    if name in _LINE:
        return [*words, "--line", str(line), path]
    if name in _PLUS or name.startswith(("vim.", "emacs")):
        return [*words, f"+{line}", path]
    return [*words, path]


def _usual() -> str:
    return next(filter(shutil.which, _USUAL), "open -t" if sys.platform == "darwin" else "")


def _is_text(path: Path, source: Source) -> bool:
    try:
        with path.open("rb") as file:
            return b"\0" not in file.read(_HEAD)
    except FileNotFoundError as exc:
        raise PathNotFound(
            f"There is no {source.path} any more.", "`allma sync` updates the index."
        ) from exc
    except OSError:
        return True  # the editor says why
