"""The commands that fill the index, list what is in it, and take things out."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from allma_server.cli.commands.options import Folder, absolute
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
    """Index folders, and keep them indexed."""
    report = await shell.run("ingest", doing="Indexing", paths=folders)
    shell.show(report)
    return _outcome(shell, report)


@command(app, "sync")
async def sync(
    shell: Shell,
    folder: Annotated[
        str | None,
        typer.Argument(metavar="DIR", help="Only this indexed folder.", parser=absolute),
    ] = None,
) -> int:
    """Bring the index up to date with the disk now."""
    report = await shell.run("sync", doing="Updating", path=folder)
    shell.show(report)
    return _outcome(shell, report)


def _outcome(shell: Shell, report: "IngestReport | Job") -> int:
    from allma_server.types import Job  # known by now; the help does without it

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
    state: Annotated[State | None, typer.Option(help="Only those that ended like this.")] = None,
    folder: Folder = None,
) -> None:
    """List what was seen, and why a file was skipped or failed."""
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
    """Take a file or folder out of the index, never from disk."""
    shell.show(await shell.run("forget", path=path))
