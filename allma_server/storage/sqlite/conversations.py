"""Conversations: questions, answers, and their sources as they were when cited."""

import sqlite3

from allma_server.errors import ConversationNotFound, InvalidArgument
from allma_server.storage.sqlite.database import Repository
from allma_server.storage.sqlite.rows import as_json, shown_path, storable, texts
from allma_server.types import (
    Conversation,
    ConversationPage,
    Message,
    MessageSource,
    is_unsaved,
    row_id,
)

_CONVERSATION = """
    SELECT c.*, count(*) AS message_count, max(m.seq) AS latest
    FROM conversations c JOIN messages m ON m.conversation_id = c.id
"""


SHORTEST_PREFIX = 4
"""Characters of an id that name a conversation, if no other one begins with them."""

_OWN = "(:user IS NULL OR c.user = :user)"


class Conversations(Repository):
    """Read, rename and delete conversations; `messages.py` adds messages to them.

    `user`: those of other users do not exist; None has all of them.
    """

    user: str | None = None

    async def conversation(self, conversation_id: str) -> Conversation:
        """Return a conversation with its messages and their sources.

        Raises:
            ConversationNotFound: there is none with this id.
        """
        row = await self._db.row(
            f"{_CONVERSATION} WHERE c.id = :id AND {_OWN} GROUP BY c.id",
            {"id": conversation_id, "user": self.user},
        )
        if row is None:
            raise not_found(conversation_id)
        return _conversation(row, await self.messages(conversation_id))

    async def whole_conversation_id(self, prefix: str) -> str:
        """Return the id of the only conversation whose id begins with `prefix`.

        A prefix that is too short, or of no conversation, is returned as it is.

        Raises:
            ConversationNotFound: several do.
        """
        found = await self._db.rows(
            f"SELECT c.id FROM conversations c WHERE substr(c.id, 1, :length) = :prefix AND {_OWN} "
            "ORDER BY c.updated_at DESC LIMIT 4",
            {"prefix": prefix, "length": len(prefix), "user": self.user},
        )
        ids = [row["id"] for row in found]
        if prefix in ids or len(prefix) < SHORTEST_PREFIX or not ids:
            return prefix  # whole, or of none
        if len(ids) > 1:
            raise ConversationNotFound(
                f"Several conversations begin with {prefix!r}.", f"Latest: {', '.join(ids)}."
            )
        return ids[0]

    async def conversation_with(self, message_id: str) -> Conversation:
        """Return the conversation that a message belongs to.

        Raises:
            ConversationNotFound: there is no such message.
        """
        row = await self._db.row(
            "SELECT c.id FROM messages m JOIN conversations c ON c.id = m.conversation_id "
            f"WHERE m.id = :id AND {_OWN}",
            {"id": message_id, "user": self.user},
        )
        if row is None:
            raise ConversationNotFound(f"There is no message {message_id!r}.")
        return await self.conversation(row["id"])

    async def conversation_page(
        self, query: str | None, cursor: str | None, limit: int
    ) -> ConversationPage:
        """Return conversations, latest first; with `query`, those that contain it.

        Raises:
            InvalidArgument: the cursor is not from an earlier page.
        """
        pattern = f"%{_escaped(query.strip())}%" if query else "%"
        where = (
            f"{_OWN} AND (c.title LIKE :text ESCAPE '\\' OR EXISTS (SELECT 1 FROM messages m "
            "WHERE m.conversation_id = c.id AND m.content LIKE :text ESCAPE '\\'))"
        )
        values = {"text": pattern, "user": self.user}
        [total] = await self._db.rows(f"SELECT count(*) FROM conversations c WHERE {where}", values)
        if cursor and row_id(cursor) is None:
            raise InvalidArgument(
                f"{cursor!r} is not a cursor.", "Use next_cursor exactly as it was returned."
            )
        # By the latest message's number: two messages may have the same time, not the same number.
        found = await self._db.rows(
            f"{_CONVERSATION} WHERE {where} GROUP BY c.id HAVING :before IS NULL "
            "OR latest < :before ORDER BY latest DESC LIMIT :limit",
            values | {"before": int(cursor) if cursor else None, "limit": limit + 1},
        )
        page = [_conversation(row, []) for row in found[:limit]]
        more = len(found) > limit
        return ConversationPage(page, total[0], str(found[limit - 1]["latest"]) if more else None)

    async def rename_conversation(self, conversation_id: str, title: str) -> None:
        """Change the title of a conversation.

        Raises:
            ConversationNotFound: there is none with this id.
        """
        async with self._db.transaction() as tx:
            changed = await tx.execute(
                f"UPDATE conversations AS c SET title = :title WHERE id = :id AND {_OWN}",
                {"title": storable(title), "id": conversation_id, "user": self.user},
            )
        if not changed:
            raise not_found(conversation_id)

    async def delete_conversation(self, conversation_id: str) -> None:
        """Delete a conversation with its messages and their sources.

        Raises:
            ConversationNotFound: there is none with this id.
        """
        async with self._db.transaction() as tx:
            deleted = await tx.execute(
                f"DELETE FROM conversations AS c WHERE id = :id AND {_OWN}",
                {"id": conversation_id, "user": self.user},
            )
        if not deleted:
            raise not_found(conversation_id)

    async def messages(self, conversation_id: str) -> list[Message]:
        """Return the messages of a conversation, in order; empty if there is none."""
        found = await self._db.rows(
            "SELECT * FROM messages WHERE conversation_id = ? ORDER BY seq", (conversation_id,)
        )
        sources: dict[str, list[MessageSource]] = {row["id"]: [] for row in found}
        for row in await self._db.rows(
            "SELECT * FROM message_sources "
            "WHERE message_id IN (SELECT value FROM json_each(?)) ORDER BY number",
            (as_json(sources),),
        ):
            sources[row["message_id"]].append(self._source(row))
        return [self._message(row, sources[row["id"]]) for row in found]

    def _message(self, row: sqlite3.Row, sources: list[MessageSource]) -> Message:
        # A question is the user's own text: nothing in it is masked.
        content = row["content"] if row["role"] == "user" else self._shown(row["content"])
        return Message(
            row["id"],
            row["role"],
            content,
            row["model"],
            row["created_at"],
            sources,
            row["grounding"],
        )

    def _source(self, row: sqlite3.Row) -> MessageSource:
        return MessageSource(
            number=row["number"],
            document_id=row["document_id"],
            chunk_id=row["chunk_id"],
            relevance_score=row["relevance_score"],
            path=shown_path(row["path"]),
            start_line=row["start_line"],
            end_line=row["end_line"],
            page=row["page"],
            heading=[self._shown(title) for title in texts(row["heading"])],
            text=self._shown(row["text"]),
            unsaved=is_unsaved(row["chunk_id"]),
        )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def not_found(conversation_id: str) -> ConversationNotFound:
    """Return the error of a conversation that does not exist."""
    return ConversationNotFound(
        f"There is no conversation {conversation_id!r}.", "The conversations list shows them all."
    )


def _conversation(row: sqlite3.Row, messages: list[Message]) -> Conversation:
    return Conversation(
        row["id"],
        row["title"],
        row["created_at"],
        row["updated_at"],
        row["message_count"],
        messages,
    )
