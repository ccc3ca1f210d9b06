"""Convert a conversation to a Markdown document."""

from allma_server.types import Conversation, MessageSource, page_label


def to_markdown(conversation: Conversation) -> str:
    """Return the conversation as Markdown: messages as sections, sources as numbered lists."""
    lines = [f"# {conversation.title}", "", f"*{conversation.created_at[:10]}*", ""]
    for message in conversation.messages:
        author = "You" if message.role == "user" else message.model or "Allma"
        lines += [f"## {author}", "", message.content.strip(), ""]
        if message.caution:
            lines += [f"*{message.caution}*", ""]
        if message.sources:
            lines += [f"{source.number}. {_location(source)}" for source in message.sources]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _location(source: MessageSource) -> str:
    where = f"{source.start_line}-{source.end_line}"
    if source.page:
        where = page_label(source.path, source.page)
    separator = ", " if source.page else ":"
    heading = f" ({' › '.join(source.heading)})" if source.heading else ""
    unsaved = ", unsaved" if source.unsaved else ""
    return f"`{source.path}`{separator}{where}{heading}{unsaved}"
