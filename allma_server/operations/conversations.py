"""Conversations, which all clients share."""

from typing import Annotated

from pydantic import Field

from allma_server._internal.path_text import readable
from allma_server.answering.export import to_markdown
from allma_server.errors import InvalidArgument
from allma_server.operations.call import Call
from allma_server.operations.text import paged, render
from allma_server.types import Conversation, ConversationPage, Done, Export

ConversationId = Annotated[str, Field(description="A conversation's id or prefix.")]


async def list_conversations(
    call: Call,
    query: Annotated[str | None, Field(description="Only those that contain these words.")] = None,
    cursor: Annotated[str | None, Field(description="next_cursor of the previous page.")] = None,
    limit: Annotated[int, Field(ge=1, le=200, description="Rows in a page.")] = 50,
) -> ConversationPage:
    """List conversations, latest first."""
    return await call.engine.catalog.conversation_page(query, cursor, limit)


async def show_conversation(call: Call, id: ConversationId) -> Conversation:
    """Show messages and sources."""
    return await call.engine.catalog.conversation(await whole_id(call, id))


async def rename_conversation(
    call: Call,
    id: ConversationId,
    title: Annotated[str, Field(max_length=200, description="The new title.")],
) -> Conversation:
    """Change the title."""
    title = " ".join(title.split())
    if not title:
        raise InvalidArgument("The title is empty.", "Use at least one word.")
    id = await whole_id(call, id)
    await call.engine.catalog.rename_conversation(id, title)
    return await call.engine.catalog.conversation(id)


async def delete_conversation(call: Call, id: ConversationId) -> Done:
    """Delete one with all its messages."""
    id = await whole_id(call, id)
    await call.engine.catalog.delete_conversation(id)
    return Done(f"Deleted conversation {id}.")


async def export_conversation(call: Call, id: ConversationId) -> Export:
    """Export one as Markdown."""
    conversation = await call.engine.catalog.conversation(await whole_id(call, id))
    return Export(conversation.title, to_markdown(conversation))


async def whole_id(call: Call, id: str) -> str:
    """Return the whole id of a conversation, of which a client may give the beginning.

    Raises:
        ConversationNotFound: several conversations begin with it.
    """
    return await call.engine.catalog.whole_conversation_id(id.strip())


@render.register
def _conversations_text(result: ConversationPage) -> str:
    lines = [
        f"{c.id} {c.title} ({c.message_count} messages, {c.updated_at[:16]})"
        for c in result.conversations
    ]
    return paged(lines, f"{result.total} conversations", result.next_cursor)


@render.register
def _conversation_text(result: Conversation) -> str:
    parts = [f"{result.title} (id {result.id}, {result.message_count} messages)"]
    for message in result.messages:
        parts.append(f"{message.role}: {message.content.strip()}")
        if message.caution:
            parts[-1] += f"\n{message.caution}"
        if message.sources:
            parts[-1] += "\n" + "\n".join(
                f"[{s.number}] {readable(s.path)}:{s.start_line}-{s.end_line}"
                for s in message.sources
            )
    return "\n\n".join(parts)
