"""Arguments that several commands share."""

import os
from dataclasses import dataclass
from typing import Annotated

import typer


def absolute(path: str) -> str:
    """Return an absolute path, since the engine runs in another folder.

    Raises:
        BadParameter: the path is relative, and the current folder no longer exists.
    """
    try:
        return os.path.abspath(path)
    except FileNotFoundError as exc:
        raise typer.BadParameter(
            "the current folder no longer exists; use an absolute path."
        ) from exc


Words = Annotated[list[str], typer.Argument(help="Words or a question; quotes are not needed.")]
Passages = Annotated[
    int | None, typer.Option("-k", min=1, max=50, help="Maximum number of passages (default 5).")
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
    """The files that a search covers."""

    path: Annotated[
        str | None,
        typer.Option("--path", metavar="GLOB", help="Only files that match, such as src/**/*.py."),
    ] = None
    workspace: Folder = None
