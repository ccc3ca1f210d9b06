"""Results as people read them: one view per type of result."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rich.console import RenderableType
from rich.filesize import decimal
from rich.text import Text

from allma_server.cli.page import Page, count, fits, moment
from allma_server.cli.settings import Setting, Settings
from allma_server.cli.streams import CONTROLS
from allma_server.clients.install import Installation, Installations
from allma_server.model import (
    Answer,
    Candidate,
    Conversation,
    ConversationPage,
    DaemonStatus,
    Diagnosis,
    DocumentPage,
    Done,
    Evaluation,
    Excerpt,
    Explanation,
    Export,
    FileReason,
    ForgetReport,
    IngestReport,
    Job,
    MessageSource,
    ModelInfo,
    ModelList,
    Passage,
    SearchResult,
    StageScores,
    Standing,
    Status,
    WorkspaceStatus,
)

View = Iterable[RenderableType]

MOST_MISSED = 20
MOST_SKIPPED = 10
"""Skipped files that a report lists; all of them are in the ledger."""


def view(result: object, page: Page) -> View:
    """What a result looks like, item by item."""
    return _VIEWS[type(result)](result, page)


# --- passages and answers -----------------------------------------------------------------------


def _search_result(result: SearchResult, page: Page) -> View:
    for number, passage in enumerate(result.passages, start=1):
        if number > 1:
            yield Text()
        yield from _passage(f"{number}.", passage, page)


def _passage(label: str, passage: Passage, page: Page) -> View:
    yield _source(label, passage, page)
    yield from page.snippet(passage.text)


def _source(label: str, place: Passage | MessageSource, page: Page, style: str = "") -> Text:
    line = Text(f"{label} ") + page.place(place.path, place.start_line, style or "bold cyan")
    if place.page is not None:
        line.append(f"  page {place.page}")
    if isinstance(place, Passage) and place.stale:
        line.append("  changed since it was indexed", "yellow")
    if isinstance(place, Passage) and place.suspicious:
        line.append("  gives orders to its reader", "yellow")
    if place.heading:
        line.append("\n" + " " * (len(label) + 1) + " › ".join(place.heading), "dim")
    return line


def _explanation(result: Explanation, page: Page) -> View:
    words = result.terms + [f'"{phrase}"' for phrase in result.phrases]
    yield from _facts(
        page,
        ("words", " ".join(words) or "none"),
        ("too common", " ".join(result.stops) or None),
        ("judge", result.judge),
    )
    yield Text()
    shown = [c for c in result.candidates if c.reranked] or result.candidates
    names = ["dense", "lexical", "fused", "reranked", *(["judged"] if result.judge else [])]
    head = [Text(name, "bold") for name in ("", *names, "")]
    rows = [head, *(_candidate(n, c, names) for n, c in enumerate(shown, start=1))]
    lines = page.columns(rows)
    yield next(lines)
    for candidate, standings in zip(shown, lines, strict=True):
        yield standings
        passage = candidate.passage
        line = Text("    ") + page.place(passage.path, passage.start_line, "")
        yield line.append(f"  chunk {passage.chunk_id}", "dim")
    if more := len(result.candidates) - len(shown):
        yield Text(f"\nand {count(more, 'candidate')} too far down to be read: --json", "dim")


def _candidate(number: int, candidate: Candidate, names: Sequence[str]) -> list[Text]:
    lists: list[Standing | None] = [getattr(candidate, name) for name in names]
    style = "green" if candidate.outcome == "shown" else "yellow"
    return [
        Text(f"{number}."),
        *(Text(f"{s.place:>3}  {s.score:.2f}" if s else "  -", "" if s else "dim") for s in lists),
        Text(candidate.verdict, style),
    ]


def _evaluation(result: Evaluation, page: Page) -> View:
    yield Text(f"{count(result.questions, 'question')}, {result.search_ms} ms each\n", "dim")
    measures = ("hit@1", f"hit@{result.top_k}", "MRR", f"nDCG@{result.top_k}")
    rows = [[Text(""), *(Text(name, "bold") for name in measures)]]
    rows += [_scores(stage) for stage in result.stages]
    if result.before is not None:
        rows += [_scores(stage, "before: ") for stage in result.before.stages]
    yield from page.columns(rows)
    if result.before is not None:
        yield Text(f"\n{result.better} found higher now, {result.worse} lower")
        for label, each in (("before", result.before), ("now", result)):
            settings = ", ".join(f"{name} {value}" for name, value in each.settings.items())
            yield Text(f"{label:<8}{settings}", "dim")
    missed = [each.question for each in result.places if each.place is None]
    if missed:
        yield Text(f"\nNot found ({len(missed)})", "bold")
        yield from (Text(f"  {question}") for question in missed[:MOST_MISSED])
    if len(missed) > MOST_MISSED:
        yield Text(f"  and {count(len(missed) - MOST_MISSED, 'more question')}: --json", "dim")


def _scores(stage: StageScores, before: str = "") -> list[Text]:
    numbers = (stage.first, stage.hit, stage.mrr, stage.ndcg)
    style = "dim" if before else ""
    return [Text(before + stage.stage, style), *(Text(f"{n:.3f}", style) for n in numbers)]


def _answer(result: Answer, page: Page) -> View:
    """The sources; the text was shown as it came."""
    if not result.citations:
        return
    yield Text()
    if result.mode == "passages_only":
        yield from _search_result(SearchResult([c.passage for c in result.citations]), page)
        return
    any_cited = any(citation.cited for citation in result.citations)
    yield Text("Sources", "bold")
    for citation in result.citations:
        style = "" if citation.cited or not any_cited else "dim"
        yield _source(f"[{citation.number}]", citation.passage, page, style)


def _excerpt(result: Excerpt, page: Page) -> View:
    if not page.terminal:
        yield Text(result.text.removesuffix("\n"))
        return
    yield page.place(result.path, result.start_line)
    digits = len(str(result.end_line))
    for number, line in enumerate(result.text.splitlines(), start=result.start_line):
        yield Text.assemble((f"{number:>{digits}}  ", "dim"), line)


# --- what is indexed ----------------------------------------------------------------------------


def _ingest_report(report: IngestReport, page: Page) -> View:
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
    yield from _reasons("Skipped", report.skipped, page, MOST_SKIPPED)


def _reasons(title: str, files: Sequence[FileReason], page: Page, most: int) -> Iterator[Text]:
    if not files:
        return
    yield Text(f"\n{title}", "bold")
    for file in files[:most]:
        yield Text("  ") + page.place(file.path, style="")
        yield Text(f"    {file.reason}", "dim")
    if len(files) > most:
        more = count(len(files) - most, "more file")
        yield Text(f"  and {more}: allma documents --state {title.lower()}", "dim")


def _job(result: Job, page: Page) -> View:
    of = f"{result.done} of {result.total}" if result.total else str(result.done)
    yield Text(f"{result.kind} {result.state}: {of}  ") + page.place(result.path)
    if result.message:
        yield Text(f"    {result.message}", "dim")
    if result.report:
        yield from _ingest_report(result.report, page)


STATE_STYLES = {"indexed": "green", "skipped": "yellow", "failed": "red"}


def _documents(result: DocumentPage, page: Page) -> View:
    rows = [
        (Text(d.state, STATE_STYLES[d.state]), d.format, f"{d.chunks:>4}", page.place(d.path))
        for d in result.documents
    ]
    for document, line in zip(result.documents, page.columns(rows), strict=True):
        yield line
        if document.reason:
            yield Text(f"    {document.reason}", "dim")


def _forget_report(report: ForgetReport, page: Page) -> View:
    number = count(report.documents, "document")
    yield Text(f"Forgot {number} ({count(report.chunks, 'chunk')}): ") + page.place(report.path)
    if report.workspace_removed:
        yield Text("The folder is no longer followed. Nothing on disk was touched.", "dim")
    if report.notice:
        yield Text(report.notice, "dim")


# --- conversations ------------------------------------------------------------------------------


def _conversations(result: ConversationPage, page: Page) -> View:
    rows = [
        (
            Text(c.id, "cyan"),
            moment(c.updated_at),
            f"{c.message_count:>3}",
            fits(c.title, max(20, page.width - 6)),
        )
        for c in result.conversations
    ]
    yield from page.columns(rows)


def _conversation(result: Conversation, page: Page) -> View:
    yield Text(result.title, "bold")
    yield Text(f"{result.id}  {moment(result.created_at)}", "dim")
    for message in result.messages:
        who = "You" if message.role == "user" else message.model or "Allma"
        yield Text("\n") + Text(who, "bold green") + Text(f"  {moment(message.created_at)}", "dim")
        yield _prose(message.content, page)
        for source in message.sources:
            yield _source(f"[{source.number}]", source, page)


def _prose(text: str, page: Page) -> RenderableType:
    if page.terminal:
        from rich.markdown import Markdown  # a third of what a search would import of rich

        return Markdown(text.translate(CONTROLS), hyperlinks=False)
    return Text(text)


def _export(result: Export, page: Page) -> View:
    yield Text(result.markdown.removesuffix("\n"))


# --- models -------------------------------------------------------------------------------------


def _models(result: ModelList, page: Page) -> View:
    rows = [
        (Text("●" if m.in_use else " ", "green"), Text(m.name, "bold"), _size(m), _traits(m))
        for m in result.models
    ]
    yield from page.columns(rows)


def _size(model: ModelInfo) -> str:
    return decimal(model.size).rjust(8) if model.size is not None else ""


def _traits(model: ModelInfo) -> Text:
    context = f"{model.context_length:,} tokens" if model.context_length else None
    traits = [model.parameters, model.quantization, context, ", ".join(model.capabilities)]
    return Text(" · ".join(filter(None, traits)), "dim")


def _model(result: ModelInfo, page: Page) -> View:
    context = f"{result.context_length:,} tokens" if result.context_length else None
    yield from _facts(
        page,
        ("name", Text(result.name, "bold")),
        ("size", decimal(result.size) if result.size is not None else None),
        ("parameters", result.parameters),
        ("quantization", result.quantization),
        ("context", context),
        ("can", ", ".join(result.capabilities) or None),
        ("modified", result.modified_at and result.modified_at[:10]),
    )


# --- the engine ---------------------------------------------------------------------------------


def _status(result: Status, page: Page) -> View:
    embedder, ollama, vectors = result.embedder, result.ollama, result.vectors
    dimensions = f" ({embedder.dimensions} dimensions)" if embedder.dimensions else ""
    answers = f"{ollama.url} {ollama.version or ''}" if ollama.reachable else ollama.reason or ""
    pending = f", {vectors.pending:,} pending" if vectors.pending else ""
    yield from _facts(
        page,
        ("version", result.version),
        ("data", page.place(result.data_dir, style="", whole=True)),
        ("embedder", (embedder.name or "not chosen yet") + dimensions),
        ("model", result.chat_model or Text("none", "yellow")),
        ("ollama", Text(answers.strip(), "" if ollama.reachable else "yellow")),
        ("vectors", f"{vectors.store} {vectors.state}{pending}"),
        ("", vectors.reason),
        ("process", f"{result.pid}, {count(result.clients, 'client')}"),
    )
    for workspace in result.workspaces:
        yield Text("\n") + page.place(workspace.path, whole=True)
        yield Text(f"    {_numbers(workspace)}", "dim")
    for each in result.jobs:
        yield Text()
        yield from _job(each, page)


def _numbers(workspace: WorkspaceStatus) -> str:
    parts = [count(workspace.documents, "document"), count(workspace.chunks, "chunk")]
    for number, word in (
        (workspace.pending, "pending"),
        (workspace.skipped, "skipped"),
        (workspace.failed, "failed"),
    ):
        if number:
            parts.append(f"{number:,} {word}")
    if workspace.notice:
        parts.append(workspace.notice)
    return ", ".join([*parts, "watched"] if workspace.watching else parts)


def _daemon(result: DaemonStatus, page: Page) -> View:
    if not result.running:
        yield "No engine is running; the next editor or AI client starts one."
        return
    clients = ", ".join(f"{client.door} ({client.pid})" for client in result.clients)
    yield from _facts(
        page,
        ("process", str(result.pid)),
        ("build", result.build),
        ("up", f"{result.uptime_seconds or 0:,} s"),
        ("clients", clients or "none"),
    )


SIGNS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


def _diagnosis(result: Diagnosis, page: Page) -> View:
    for check in result.checks:
        sign, style = SIGNS[check.state]
        yield Text.assemble((f"{sign} ", style), (f"{check.name}: ", "bold"), check.detail)
        if check.next_step:
            yield Text(f"  → {check.next_step}", style)


def _installations(result: Installations, page: Page) -> View:
    styles = {"installed": "green", "unreadable": "yellow"}
    rows = [
        (Text(c.client, "bold"), Text(c.state, styles.get(c.state, "dim")), page.place(c.file))
        for c in result.clients
    ]
    yield from page.columns(rows)


def _installation(result: Installation, page: Page) -> View:
    for line in result.change.splitlines()[2:]:
        style = {"+": "green", "-": "red", "@": "dim"}[line[0]]
        yield Text(line, style)
    if not result.change:
        has = "has Allma already" if result.state == "installed" else "has no Allma"
        yield Text(f"{result.title} {has}: ") + page.place(result.file)
        return
    yield Text("Written to " if result.written else "Not written to ") + page.place(result.file)
    if result.backup:
        yield Text("Before, it was ") + page.place(result.backup, style="")
    if result.next_step:
        yield Text(f"→ {result.next_step}", "yellow")


def _done(result: Done, page: Page) -> View:
    yield Text(result.message)


# --- settings -----------------------------------------------------------------------------------


def _settings(result: Settings, page: Page) -> View:
    for each in result.settings:
        yield Text.assemble((f"{each.key} = ", "cyan"), (each.shown, "bold"), _origin(each))
        if page.terminal:
            yield Text(f"    {each.description}", "dim")
    yield Text(f"\n{result.file}", "dim")


def _setting(result: Setting, page: Page) -> View:
    yield Text(result.shown) + (_origin(result) if page.terminal else Text())


def _origin(each: Setting) -> Text:
    return Text(f"  {each.source}", "dim" if each.source == "default" else "green")


def _facts(page: Page, *facts: tuple[str, str | Text | None]) -> Iterator[Text]:
    yield from page.columns([(label, value) for label, value in facts if value is not None])


_VIEWS: dict[type, Callable[[Any, Page], View]] = {
    Answer: _answer,
    Conversation: _conversation,
    ConversationPage: _conversations,
    Diagnosis: _diagnosis,
    DocumentPage: _documents,
    Done: _done,
    Evaluation: _evaluation,
    Excerpt: _excerpt,
    Explanation: _explanation,
    Export: _export,
    ForgetReport: _forget_report,
    IngestReport: _ingest_report,
    Installation: _installation,
    Installations: _installations,
    Job: _job,
    ModelInfo: _model,
    ModelList: _models,
    SearchResult: _search_result,
    Setting: _setting,
    Settings: _settings,
    Status: _status,
    DaemonStatus: _daemon,
}
