"""A conversation as a document people can keep."""

from allma_server.types import Conversation, MessageSource


def as_markdown(conversation: Conversation) -> str:
    """The conversation as Markdown: turns as sections, sources as numbered lists."""
    lines = [f"# {conversation.title}", "", f"*{conversation.created_at[:10]}*", ""]
    for message in conversation.messages:
        who = "You" if message.role == "user" else message.model or "Allma"
        lines += [f"## {who}", "", message.content.strip(), ""]
        if message.caution:
            lines += [f"*{message.caution}*", ""]
        if message.sources:
            lines += [f"{source.number}. {_place(source)}" for source in message.sources]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _place(source: MessageSource) -> str:
    where = f"page {source.page}" if source.page else f"{source.start_line}-{source.end_line}"
    joint = ", " if source.page else ":"
    heading = f" ({' › '.join(source.heading)})" if source.heading else ""
    return f"`{source.path}`{joint}{where}{heading}"
