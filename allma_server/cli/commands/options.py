"""Arguments that several commands take."""

import os
from dataclasses import dataclass
from typing import Annotated

import typer


def absolute(path: str) -> str:
    """A path as the engine is told it, which runs elsewhere.

    Raises:
        BadParameter: it is relative to a folder that is gone.
    """
    try:
        return os.path.abspath(path)
    except FileNotFoundError as exc:
        raise typer.BadParameter("the current folder is gone; use an absolute path.") from exc


Words = Annotated[list[str], typer.Argument(help="Words or a question; quotes are not needed.")]
Passages = Annotated[
    int | None, typer.Option("-k", min=1, max=50, help="At most so many passages (default 5).")
]
Folder = Annotated[
    str | None,
    typer.Option("--workspace", metavar="DIR", help="Only this indexed folder.", parser=absolute),
]
SearchedFolders = Annotated[
    list[str] | None,
    typer.Option(
        "--workspace", metavar="DIR", help="Search this folder; may be repeated.", parser=absolute
    ),
]


@dataclass(frozen=True, slots=True)
class Scope:
    """Where to look."""

    path: Annotated[
        str | None,
        typer.Option("--path", metavar="GLOB", help="Only files like this, such as src/**/*.py."),
    ] = None
    workspace: Folder = None
