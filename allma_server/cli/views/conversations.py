"""Answers and conversations."""

from typing import TYPE_CHECKING

from allma_server.cli.output import Text
from allma_server.cli.page import Page, View, Views, local_time, shorten
from allma_server.cli.streams import CONTROLS

if TYPE_CHECKING:
    from rich.console import RenderableType

    from allma_server.types import Answer, Conversation, ConversationPage, Export


def _answer(result: "Answer", page: Page) -> View:
    """Render only the sources and the gate; the text has already been streamed."""
    if not result.citations:
        return
    yield from _sources(result, page)
    if gate := result.stats.gate:
        yield Text(
            f"\n{result.model} was {gate.probability:.0%} sure that the sources have the answer "
            f"(it answers above {gate.threshold:.0%}).",
            "dim",
        )


def _sources(result: "Answer", page: Page) -> View:
    from allma_server.cli.views.searching import passages, source_line  # late: not for the list

    yield Text()
    if result.mode == "passages_only":
        yield from passages([c.passage for c in result.citations], page)
        return
    any_cited = any(citation.cited for citation in result.citations)
    yield Text("Sources" if any_cited else "Closest passages", "bold")
    for citation in result.citations:
        style = "" if citation.cited or not any_cited else "dim"
        yield source_line(f"[{citation.number}]", citation.passage, page, style)


def _conversations(result: "ConversationPage", page: Page) -> View:
    rows = [
        (
            Text(c.id, "cyan"),
            local_time(c.updated_at),
            f"{c.message_count:>3}",
            shorten(c.title, max(20, page.width - 6)),
        )
        for c in result.conversations
    ]
    yield from page.columns(rows)


def _conversation(result: "Conversation", page: Page) -> View:
    from allma_server.cli.views.searching import source_line  # late: not for the list

    yield Text(result.title, "bold")
    yield Text(f"{result.id}  {local_time(result.created_at)}", "dim")
    for message in result.messages:
        who = "You" if message.role == "user" else message.model or "Allma"
        yield (
            Text("\n")
            + Text(who, "bold green")
            + Text(f"  {local_time(message.created_at)}", "dim")
        )
        yield _prose(message.content, page)
        if message.caution:
            yield Text(message.caution, "yellow")
        for source in message.sources:
            yield source_line(f"[{source.number}]", source, page)


def _prose(text: str, page: Page) -> "Text | RenderableType":
    if page.terminal:
        from rich.markdown import Markdown  # late: slow to import, and searches do not need it

        return Markdown(text.translate(CONTROLS), hyperlinks=False)
    return Text(text)


def _export(result: "Export", page: Page) -> View:
    yield Text(result.markdown.removesuffix("\n"))


VIEWS: Views = {
    "Answer": _answer,
    "ConversationPage": _conversations,
    "Conversation": _conversation,
    "Export": _export,
}
