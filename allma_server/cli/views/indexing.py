"""Reports of indexing, jobs and the list of documents."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from allma_server.cli.output import Text
from allma_server.cli.page import Page, View, Views, count

if TYPE_CHECKING:
    from allma_server.types import DocumentPage, FileReason, ForgetReport, IngestReport, Job

MAX_SKIPPED = 10
"""Skipped files that a report lists; `allma documents` lists all."""

STATE_STYLES = {"indexed": "green", "skipped": "yellow", "failed": "red"}


def _ingest_report(report: "IngestReport", page: Page) -> View:
    rows = [
        ("new", report.indexed, "green"),
        ("changed", report.updated, "green"),
        ("unchanged", report.unchanged, ""),
        ("removed", report.removed, ""),
        ("skipped", len(report.skipped), "yellow"),
        ("failed", len(report.failed), "red"),
        ("chunks", report.chunks, ""),
    ]
    numbers = [f"{number:,}" for _, number, _ in rows]
    width = max(map(len, numbers))
    for (label, number, style), digits in zip(rows, numbers, strict=True):
        yield Text(f"{label:<10}{digits:>{width}}", style if number else "dim")
    yield Text(f"{'seconds':<10}{report.seconds:>{width}.1f}")
    yield from _reasons("Failed", report.failed, page, len(report.failed))
    yield from _reasons("Skipped", report.skipped, page, MAX_SKIPPED)


def _reasons(title: str, files: "Sequence[FileReason]", page: Page, most: int) -> Iterator[Text]:
    if not files:
        return
    yield Text(f"\n{title}", "bold")
    for file in files[:most]:
        yield Text("  ") + page.location(file.path, style="")
        yield Text(f"    {file.reason}", "dim")
    if len(files) > most:
        more = count(len(files) - most, "more file")
        yield Text(f"  and {more}: allma documents --state {title.lower()}", "dim")


def job(result: "Job", page: Page) -> View:
    """Render a job: its progress, and its report when it is done."""
    of = f"{result.done} of {result.total}" if result.total else str(result.done)
    yield Text(f"{result.kind} {result.state}: {of}  ") + page.location(result.path)
    if result.message:
        yield Text(f"    {result.message}", "dim")
    if result.report:
        yield from _ingest_report(result.report, page)


def _documents(result: "DocumentPage", page: Page) -> View:
    rows = [
        (Text(d.state, STATE_STYLES[d.state]), d.format, f"{d.chunks:>4}", page.location(d.path))
        for d in result.documents
    ]
    for document, line in zip(result.documents, page.columns(rows), strict=True):
        yield line
        if document.reason:
            yield Text(f"    {document.reason}", "dim")


def _forget_report(report: "ForgetReport", page: Page) -> View:
    number = count(report.documents, "document")
    yield Text(f"Forgot {number} ({count(report.chunks, 'chunk')}): ") + page.location(report.path)
    if report.workspace_removed:
        yield Text("The folder is no longer watched. No file on disk was changed.", "dim")
    if report.notice:
        yield Text(report.notice, "dim")


VIEWS: Views = {
    "IngestReport": _ingest_report,
    "Job": job,
    "DocumentPage": _documents,
    "ForgetReport": _forget_report,
}
