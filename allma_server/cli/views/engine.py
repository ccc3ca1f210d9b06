"""The engine's state, process, checks and settings."""

from typing import TYPE_CHECKING

from allma_server._internal.path_text import readable
from allma_server.cli.output import Text
from allma_server.cli.page import Page, View, Views, count
from allma_server.cli.settings import Setting, Settings
from allma_server.cli.views.indexing import job

if TYPE_CHECKING:
    from allma_server.types import (
        DaemonStatus,
        Diagnosis,
        Done,
        ImportReport,
        PageAddress,
        Status,
        WorkspaceStatus,
    )

SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


def _status(result: "Status", page: Page) -> View:
    embedder, ollama, vectors = result.embedder, result.ollama, result.vectors
    dimensions = f" ({embedder.dimensions} dimensions)" if embedder.dimensions else ""
    answers = f"{ollama.url} {ollama.version or ''}" if ollama.reachable else ollama.reason or ""
    words = result.full_text
    pending = f", {vectors.pending:,} pending" if vectors.pending else ""
    unwritten = f", {words.pending:,} pending" if words.pending else ""
    yield from page.facts(
        ("version", result.version),
        ("data", page.location(result.data_dir or "", style="", whole=True)),
        ("embedder", (embedder.name or "not chosen yet") + dimensions),
        ("", Text(embedder.notice, "yellow") if embedder.notice else None),
        ("model", result.chat_model or Text("none", "yellow")),
        (ollama.provider, Text(answers.strip(), "" if ollama.reachable else "yellow")),
        ("vectors", f"{vectors.store} {vectors.state}{pending}"),
        ("", vectors.reason),
        ("full text", f"{words.state}{unwritten}"),
        ("", words.reason),
        ("process", f"{result.pid}, {count(result.clients or 0, 'client')}"),
    )
    for workspace in result.workspaces:
        yield Text("\n") + page.location(workspace.path, whole=True)
        yield Text(f"    {_numbers(workspace)}", "dim")
    for each in result.jobs:
        yield Text()
        yield from job(each, page)


def _numbers(workspace: "WorkspaceStatus") -> str:
    parts = [count(workspace.documents, "document"), count(workspace.chunks, "chunk")]
    for number, word in (
        (workspace.pending, "pending"),
        (workspace.skipped, "skipped"),
        (workspace.failed, "failed"),
    ):
        if number:
            parts.append(f"{number:,} {word}")
    if not workspace.approved:
        return ", ".join([*parts, "imported, not watched; run `allma index` with its path"])
    if workspace.total is not None:
        parts.append(f"{workspace.done:,} of {workspace.total:,} files indexed")
    parts += (each.rstrip(".") for each in (workspace.notice, workspace.reason) if each)
    return ", ".join([*parts, "watched"] if workspace.watching else parts)


def _address(result: "PageAddress", page: Page) -> View:
    if result.opened:
        yield f"Opened {result.url} in the browser."
    else:
        yield f"Open this address in a browser within {result.seconds} s; it signs you in once:"
        yield result.url


def _daemon(result: "DaemonStatus", page: Page) -> View:
    if not result.running:
        yield (result.notice or "The engine is not running; it starts when a client needs it.")
        return
    clients = ", ".join(f"{client.protocol} ({client.pid})" for client in result.clients)
    yield from page.facts(
        ("process", str(result.pid)),
        ("build", result.build),
        ("up", f"{result.uptime_seconds or 0:,} s"),
        ("clients", clients or "none"),
        ("", Text(result.notice, "yellow") if result.notice else None),
    )


def _diagnosis(result: "Diagnosis", page: Page) -> View:
    for check in result.checks:
        sign, style = SIGNS[check.state]
        yield Text.of((f"{sign} ", style), (f"{check.name}: ", "bold"), check.detail)
        if check.next_step:
            yield Text(f"  → {check.next_step}", style)


def _done(result: "Done", page: Page) -> View:
    yield Text(result.message)


def _import(result: "ImportReport", page: Page) -> View:
    documents = count(result.documents, "document")
    conversations = count(result.conversations, "conversation")
    file, data = readable(result.file), readable(result.data_dir)
    yield f"Imported {file} into {data}: {documents}, {conversations}."
    if result.workspaces:
        yield "Its folders are not read or watched until you index them:"
        for path in result.workspaces:
            yield Text("    allma index ") + page.location(path, style="", whole=True)


def _settings(result: Settings, page: Page) -> View:
    for each in result.settings:
        yield Text.of((f"{each.key} = ", "cyan"), (each.text, "bold"), _origin(each))
        if each.notice:
            yield Text(f"    {each.notice}", "yellow")
        if page.terminal:
            yield Text(f"    {each.description}", "dim")
    yield Text("\n") + page.location(result.file, style="dim", whole=True)


def _setting(result: Setting, page: Page) -> View:
    yield Text(result.text) + (_origin(result) if page.terminal else Text())


def _origin(each: Setting) -> Text:
    return Text(f"  {each.source}", "dim" if each.source == "default" else "green")


VIEWS: Views = {
    "Status": _status,
    "DaemonStatus": _daemon,
    "Diagnosis": _diagnosis,
    "Done": _done,
    "ImportReport": _import,
    "PageAddress": _address,
    "Settings": _settings,
    "Setting": _setting,
}
