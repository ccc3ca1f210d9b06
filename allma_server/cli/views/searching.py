"""Passages, explanations, evaluations and excerpts."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from allma_server.cli.output import Text
from allma_server.cli.page import Page, View, Views, count
from allma_server.search.snippets import best_row, lines_of
from allma_server.types import Passage, page_label

if TYPE_CHECKING:
    # Making all of these takes as long as printing a search.
    from allma_server.types import (
        Candidate,
        Evaluation,
        Excerpt,
        Explanation,
        MessageSource,
        RankedScore,
        SearchResult,
        StageScores,
    )

MAX_MISSED = 20
"""Questions that an evaluation lists as not found."""


def _search_result(result: "SearchResult", page: Page) -> View:
    if page.terminal:
        yield from passages(result.passages, page)
        return
    for number, passage in enumerate(result.passages):
        if number and page.whole:
            yield Text("--")
        yield from _grep_lines(passage, page)


def _grep_lines(passage: Passage, page: Page) -> View:
    """Render a passage as grep does: `path:line:text`, and `path-line-text` for the context."""
    lines = lines_of(passage, page.terms)
    best = best_row(lines, passage)
    for line in lines if page.whole else filter(None, [best]):
        sign = ":" if line is best else "-"
        number = passage.start_line if line.number is None else line.number
        yield page.location(passage.path, style="") + Text(f"{sign}{number}{sign}{line.text}")


def passages(found: Iterable[Passage], page: Page) -> View:
    """Render numbered passages, each at the line that has most of the words."""
    for number, passage in enumerate(found, start=1):
        if number > 1:
            yield Text()
        rows = page.rows(passage)
        best = best_row(rows, passage)
        line = None if best is None else best.number
        yield source_line(f"{number}.", passage, page, line=line)
        yield from page.snippet(rows)


def source_line(
    label: str,
    source: "Passage | MessageSource",
    page: Page,
    style: str = "",
    *,
    line: int | None = None,
) -> Text:
    """Render a source: its location, page, heading and warnings.

    `line`: the number of the line to go to; the first one by default.
    """
    place = page.location(
        source.path, line or source.start_line, style or "bold cyan", page=source.page
    )
    text = Text(f"{label} ") + place
    if source.page is not None:
        text.append(f"  {page_label(source.path, source.page)}")
    if isinstance(source, Passage) and source.stale:
        text.append("  changed since it was indexed", "yellow")
    if source.unsaved:
        text.append("  unsaved, in an editor", "yellow")
    if isinstance(source, Passage) and source.suspicious:
        text.append("  possible prompt injection", "yellow")
    if source.heading:
        text.append("\n" + " " * (len(label) + 1) + " › ".join(source.heading), "dim")
    return text


def _explanation(result: "Explanation", page: Page) -> View:
    words = [*result.terms, *(f'"{phrase}"' for phrase in result.phrases)]
    words += [f"{prefix}*" for prefix in result.prefixes]
    yield from page.facts(
        ("terms", " ".join(words) or "none"),
        ("too common", " ".join(result.stop_words) or None),
        ("similar to", " ".join(result.similar) or None),
        (
            "language",
            f"known to the embedder by {result.knowledge:.0%}" if result.knowledge < 1 else None,
        ),
        ("code", f"{result.code:.0%} of the passages" if result.code else None),
        ("reranker", result.reranker),
    )
    yield Text()
    shown = [c for c in result.candidates if c.rescored] or result.candidates
    names = ["dense", "lexical", "fused", "rescored", *(["reranked"] if result.reranker else [])]
    head = [Text(name, "bold") for name in ("", *names, "")]
    rows = [head, *(_candidate(n, c, names) for n, c in enumerate(shown, start=1))]
    lines = page.columns(rows)
    yield next(lines)
    for candidate, scores in zip(shown, lines, strict=True):
        yield scores
        passage = candidate.passage
        line = Text("    ") + page.location(passage.path, passage.start_line, "")
        line.append(f"  chunk {passage.chunk_id}", "dim")
        if candidate.raised:
            line.append(f"  raised: {candidate.raised}", "dim")
        if candidate.inherits:
            line.append("  only headings have the words", "dim")
        yield line
    if more := len(result.candidates) - len(shown):
        yield Text(f"\nand {count(more, 'candidate')} ranked too low to be rescored: --json", "dim")


def _candidate(number: int, candidate: "Candidate", names: Sequence[str]) -> list[Text]:
    lists: list[RankedScore | None] = [getattr(candidate, name) for name in names]
    style = "green" if candidate.outcome == "shown" else "yellow"
    return [
        Text(f"{number}."),
        *(Text(f"{s.rank:>3}  {s.score:.2f}" if s else "  -", "" if s else "dim") for s in lists),
        Text(candidate.verdict, style),
    ]


def _evaluation(result: "Evaluation", page: Page) -> View:
    yield Text(f"{count(result.questions, 'question')}, {result.search_ms} ms each\n", "dim")
    measures = ("hit@1", f"hit@{result.top_k}", "MRR", f"nDCG@{result.top_k}")
    rows = [[Text(""), *(Text(name, "bold") for name in measures)]]
    rows += [_scores(stage) for stage in result.stages]
    if result.before is not None:
        rows += [_scores(stage, "before: ") for stage in result.before.stages]
    yield from page.columns(rows)
    if result.before is not None:
        yield Text(f"\n{result.better} ranked higher now, {result.worse} lower")
        for label, each in (("before", result.before), ("now", result)):
            settings = ", ".join(f"{name} {value}" for name, value in each.settings.items())
            yield Text(f"{label:<8}{settings}", "dim")
    missed = [each.question for each in result.ranks if each.rank is None]
    if missed:
        yield Text(f"\nNot found ({len(missed)})", "bold")
        yield from (Text(f"  {question}") for question in missed[:MAX_MISSED])
    if len(missed) > MAX_MISSED:
        yield Text(f"  and {count(len(missed) - MAX_MISSED, 'more question')}: --json", "dim")


def _scores(stage: "StageScores", before: str = "") -> list[Text]:
    numbers = (stage.first, stage.hit, stage.mrr, stage.ndcg)
    style = "dim" if before else ""
    return [Text(before + stage.stage, style), *(Text(f"{n:.3f}", style) for n in numbers)]


def _excerpt(result: "Excerpt", page: Page) -> View:
    if not page.terminal:
        yield Text(result.text.removesuffix("\n"))
        return
    yield page.location(result.path, result.start_line)
    lines = result.text.split("\n")
    if len(lines) != result.end_line - result.start_line + 1:
        yield from map(Text, lines)  # extracted text has other lines than its file
        return
    digits = len(str(result.end_line))
    for number, line in enumerate(lines, start=result.start_line):
        yield Text.of((f"{number:>{digits}}  ", "dim"), line)


VIEWS: Views = {
    "SearchResult": _search_result,
    "Explanation": _explanation,
    "Evaluation": _evaluation,
    "Excerpt": _excerpt,
}
