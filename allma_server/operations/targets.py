"""Files that operations write where a client says: nothing of the user's is overwritten."""

from pathlib import Path

from allma_server._internal.private import private_opener
from allma_server._internal.replace import replace_file
from allma_server.errors import InvalidArgument


def target(path: str) -> Path:
    """The file that a client names, which must be absolute: the engine has a folder of its own.

    Raises:
        InvalidArgument: it is not, or is no path at all.
    """
    if "\0" in path or not Path(path).is_absolute():
        raise InvalidArgument(f"{path!r} is not an absolute path.", "Name the file from the root.")
    return Path(path)


def write_new(path: str, content: str) -> None:
    """Writes a file that must not be there yet; blocks.

    Raises:
        InvalidArgument: it is there, or cannot be written.
    """
    try:
        with open(target(path), "x", encoding="utf-8", opener=private_opener) as file:
            file.write(content)
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def write_picture(path: str, drawn: str) -> None:
    """Writes an SVG picture, also in the place of an earlier one, of nothing else; blocks.

    Raises:
        InvalidArgument: another file is there, or it cannot be written.
    """
    file = target(path)
    try:
        if not file.parent.is_dir():
            raise FileNotFoundError(2, "No such folder")
        if file.exists() and not _is_picture(file):
            raise InvalidArgument(f"{file} is there already and is no picture.", "Name another.")
        replace_file(file, drawn.encode("utf-8"))
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def _is_picture(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(4) == b"<svg"


def _unwritable(path: str, exc: OSError) -> InvalidArgument:
    return InvalidArgument(f"The file {path} cannot be written: {exc.strerror or exc}.")
