"""The commands that index folders, list documents, and remove them from the index."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from allma_server.cli.commands.options import Folder, absolute
from allma_server.cli.completions import workspaces
from allma_server.cli.program import command
from allma_server.cli.shell import DONE, FAILED, Shell

if TYPE_CHECKING:
    from allma_server.types import DocumentPage, IngestReport, Job

app = typer.Typer()

State = Literal["indexed", "skipped", "failed"]


@command(app, "index")
async def index(
    shell: Shell,
    folders: Annotated[
        list[str], typer.Argument(metavar="DIR", help="Folders, or files.", parser=absolute)
    ],
) -> int:
    """Index folders, and watch them for changes."""
    report = await shell.run("ingest", doing="Indexing", paths=folders)
    shell.show(report)
    return _outcome(shell, report)


@command(app, "sync")
async def sync(
    shell: Shell,
    folder: Annotated[
        str | None,
        typer.Argument(
            metavar="DIR",
            help="Only this indexed folder.",
            parser=absolute,
            autocompletion=workspaces,
        ),
    ] = None,
) -> int:
    """Update the index from the disk now."""
    report = await shell.run("sync", doing="Updating", path=folder)
    shell.show(report)
    return _outcome(shell, report)


def _outcome(shell: Shell, report: "IngestReport | Job") -> int:
    from allma_server.types import Job  # late: not for the help

    if isinstance(report, Job):
        return DONE
    shell.warn(report.notice)
    if report.indexed or report.updated or report.unchanged or report.removed or report.skipped:
        return DONE
    if report.failed or report.notice:
        return FAILED
    shell.say("No files to index.")
    return DONE


@command(app, "documents")
async def documents(
    shell: Shell,
    state: Annotated[State | None, typer.Option(help="Only documents in this state.")] = None,
    folder: Folder = None,
) -> None:
    """List the documents, and why a file was skipped or failed."""
    found: DocumentPage = await shell.run_paged(
        "documents", "documents", state=state, workspace=folder, limit=1000
    )
    shell.show(found)
    if not found.documents:
        shell.say(_no_documents(state, folder))


def _no_documents(state: str | None, folder: str | None) -> str:
    """Why a list is empty: a filter, or an empty index."""
    if state is None and folder is None:
        return "No documents indexed. Run `allma index DIR`."
    where = f" in {folder}" if folder else ""
    return f"No {state or 'known'} documents{where}. `allma documents` lists all."


@command(app, "forget")
async def forget(
    shell: Shell,
    path: Annotated[str, typer.Argument(help="An indexed file or folder.", parser=absolute)],
) -> None:
    """Remove a file or folder from the index, never from disk."""
    shell.show(await shell.run("forget", path=path))
