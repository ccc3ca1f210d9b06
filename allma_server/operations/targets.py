"""Write files where a client says, without overwriting the user's own."""

from pathlib import Path

from allma_server._internal.private import private_opener
from allma_server._internal.replace import replace_file
from allma_server.errors import InvalidArgument


def target(path: str) -> Path:
    """Return the file that a client names by an absolute path; the engine works in another folder.

    Raises:
        InvalidArgument: the path is not absolute, or not a path.
    """
    if "\0" in path or not Path(path).is_absolute():
        raise InvalidArgument(f"{path!r} is not an absolute path.", "Give the full path.")
    return Path(path)


def write_new(path: str, content: str) -> None:
    """Write a new file; blocks.

    Raises:
        InvalidArgument: the file exists, or cannot be written.
    """
    try:
        with open(target(path), "x", encoding="utf-8", opener=private_opener) as file:
            file.write(content)
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def write_picture(path: str, svg: str) -> None:
    """Write an SVG picture, which may replace an SVG picture but no other file; blocks.

    Raises:
        InvalidArgument: another kind of file exists there, or it cannot be written.
    """
    file = target(path)
    try:
        if not file.parent.is_dir():
            raise FileNotFoundError(2, "No such folder")
        if file.exists() and not _is_picture(file):
            raise InvalidArgument(f"{file} is not an SVG picture.", "Choose another file.")
        replace_file(file, svg.encode("utf-8"))
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def _is_picture(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(4) == b"<svg"


def _unwritable(path: str, exc: OSError) -> InvalidArgument:
    return InvalidArgument(f"Cannot write {path}: {exc.strerror or exc}.", "Choose another file.")
