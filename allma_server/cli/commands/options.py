"""Arguments that several commands share."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allma_server.cli.completions import workspaces

if TYPE_CHECKING:
    from allma_server.types import Passage


def absolute(path: str) -> str:
    """Return an absolute path, since the engine runs in another folder; `shared:NAME` is none.

    Raises:
        BadParameter: the path is relative, and the current folder no longer exists.
    """
    try:
        return path if path.startswith("shared:") else os.path.abspath(path)
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
    typer.Option(
        "--workspace",
        metavar="DIR",
        help="Only this indexed folder.",
        parser=absolute,
        autocompletion=workspaces,
    ),
]
Glob = Annotated[
    str | None,
    typer.Option(
        "--path", "-g", metavar="GLOB", help="Only files that match, such as src/**/*.py."
    ),
]
Everything = Annotated[
    bool, typer.Option("--all", help="Everything, not only the current folder's workspace.")
]
SearchedFolders = Annotated[
    list[str] | None,
    typer.Option(
        "--workspace",
        metavar="DIR",
        help="Search this folder; may be repeated.",
        parser=absolute,
        autocompletion=workspaces,
    ),
]


@dataclass(frozen=True, slots=True)
class Scope:
    """The files that a search covers: by default the workspace of the current folder."""

    path: Glob = None
    workspace: Folder = None
    everything: Everything = False

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of an operation.

        Raises:
            BadParameter: the options exclude each other.
        """
        if self.everything and self.workspace:
            raise typer.BadParameter("choose one of --workspace and --all.")
        return {"path": self.path, "workspace": "all" if self.everything else self.workspace}

    def notice(self, passages: "Iterable[Passage]") -> str | None:
        """Return a sentence if the current folder was not searched, as it is in no workspace."""
        if self.everything or self.workspace:
            return None
        here = os.getcwd()
        folders = {each.workspace for each in passages}
        if not folders or any(_contains(here, f) or _contains(f, here) for f in folders):
            return None
        return "This folder is not indexed: all others were searched. `allma index .` adds it."


def _contains(folder: str, path: str) -> bool:
    return os.path.join(path, "").startswith(os.path.join(folder, ""))
