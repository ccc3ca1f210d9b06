"""Conversations: questions, answers, and the sources as they were when they were cited."""

import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from allma_server.errors import ConversationNotFound, InvalidArgument
from allma_server.model import (
    Citation,
    Conversation,
    ConversationPage,
    Grounding,
    Message,
    MessageSource,
    Summary,
    now,
)
from allma_server.stores.database import Stored, Transaction
from allma_server.stores.rows import as_json, shown_path, storable, stored_path

LONGEST_TITLE = 80

_CONVERSATION = """
    SELECT c.*, count(*) AS message_count, max(m.seq) AS latest
    FROM conversations c JOIN messages m ON m.conversation_id = c.id
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, and what was said before it.

    `replaces`: the question whose place it takes, with all that followed; until it does, by
    `take_place`, it is not stored.
    """

    conversation_id: str
    message_id: str
    question: str
    earlier: list[Message]
    replaces: str | None = None


class Conversations(Stored):
    """The conversations' side of the catalogue."""

    async def begin_turn(
        self, conversation_id: str | None, question: str, title: str | None = None
    ) -> Turn:
        """Stores a question before it is answered; without an id it begins a conversation.

        Raises:
            ConversationNotFound: the conversation to continue does not exist.
        """
        earlier = await self._messages(conversation_id) if conversation_id else []
        async with self._db.transaction() as tx:
            if conversation_id is None:
                conversation_id = _new_id()
                at = now()
                await tx.execute(
                    "INSERT INTO conversations VALUES (?, ?, ?, ?)",
                    (conversation_id, storable(title or _title(question)), at, at),
                )
            message_id = await _add_message(tx, conversation_id, "user", question, None)
        return Turn(conversation_id, message_id, question, earlier)

    async def plan_turn(self, replaces: str, question: str) -> Turn:
        """A question in the place of an earlier one, named by its message or by its answer's.

        Nothing is changed before `take_place`.

        Raises:
            ConversationNotFound: there is no such message.
        """
        conversation = await self.conversation_with(replaces)
        messages = conversation.messages
        at = next(i for i, message in enumerate(messages) if message.id == replaces)
        while at > 0 and messages[at].role != "user":
            at -= 1
        return Turn(conversation.id, _new_id(), question, messages[:at], messages[at].id)

    async def take_place(self, turn: Turn) -> None:
        """Puts a planned question in the place of the one it replaces and all that followed.

        Raises:
            ConversationNotFound: the conversation was deleted meanwhile.
        """
        async with self._db.transaction() as tx:
            replaced = await tx.row(
                "SELECT seq, content FROM messages WHERE id = ?", (turn.replaces,)
            )
            if replaced is not None:
                await tx.execute(
                    "DELETE FROM messages WHERE conversation_id = ? AND seq >= ?",
                    (turn.conversation_id, replaced["seq"]),
                )
                # A title of the user's own stays.
                await tx.execute(
                    "UPDATE conversations SET title = ? WHERE id = ? AND title = ?",
                    (
                        storable(_title(turn.question)),
                        turn.conversation_id,
                        _title(replaced["content"]),
                    ),
                )
            await _add_message(
                tx, turn.conversation_id, "user", turn.question, None, turn.message_id
            )

    async def finish_turn(
        self,
        conversation_id: str,
        text: str,
        model: str | None,
        citations: Sequence[Citation],
        grounding: Grounding,
    ) -> str:
        """Stores an answer with copies of its sources; its message id.

        Raises:
            ConversationNotFound: the conversation was deleted meanwhile.
        """
        async with self._db.transaction() as tx:
            message_id = await _add_message(tx, conversation_id, "assistant", text, model)
            await tx.execute(
                "UPDATE messages SET grounding = ? WHERE id = ?", (grounding, message_id)
            )
            await tx.many(
                "INSERT INTO message_sources (message_id, number, document_id, chunk_id, "
                "relevance_score, path, start_line, end_line, page, heading, text) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_source_values(message_id, citation) for citation in citations],
            )
        return message_id

    async def summary(self, conversation_id: str) -> Summary | None:
        """What was said in the conversation in short, if that was kept."""
        row = await self._db.row(
            "SELECT until, text FROM summaries WHERE conversation_id = ?", (conversation_id,)
        )
        return Summary(row["until"], row["text"]) if row else None

    async def keep_summary(self, conversation_id: str, summary: Summary) -> None:
        """Keeps a summary in the place of an earlier one."""
        async with self._db.transaction() as tx:
            # A message that was replaced meanwhile is summed up for nobody.
            await tx.execute(
                "REPLACE INTO summaries SELECT ?, id, ? FROM messages WHERE id = ?",
                (conversation_id, storable(summary.text), summary.until),
            )

    async def conversation(self, conversation_id: str) -> Conversation:
        """A conversation with its messages and their sources.

        Raises:
            ConversationNotFound: there is none with this id.
        """
        row = await self._db.row(
            f"{_CONVERSATION} WHERE c.id = ? GROUP BY c.id", (conversation_id,)
        )
        if row is None:
            raise _not_found(conversation_id)
        return _conversation(row, await self._messages(conversation_id))

    async def conversation_with(self, message_id: str) -> Conversation:
        """The conversation that a message belongs to.

        Raises:
            ConversationNotFound: there is no such message.
        """
        row = await self._db.row("SELECT conversation_id FROM messages WHERE id = ?", (message_id,))
        if row is None:
            raise ConversationNotFound(f"There is no message {message_id!r}.")
        return await self.conversation(row["conversation_id"])

    async def conversation_page(
        self, query: str | None, cursor: str | None, limit: int
    ) -> ConversationPage:
        """Conversations, the latest first; with `query`, those that have it in title or text.

        Raises:
            InvalidArgument: the cursor is not one of an earlier page.
        """
        pattern = f"%{_escaped(query.strip())}%" if query else "%"
        where = (
            "(c.title LIKE ?1 ESCAPE '\\' OR EXISTS (SELECT 1 FROM messages m "
            "WHERE m.conversation_id = c.id AND m.content LIKE ?1 ESCAPE '\\'))"
        )
        [total] = await self._db.rows(
            f"SELECT count(*) FROM conversations c WHERE {where}", (pattern,)
        )
        if cursor and not cursor.isdecimal():
            raise InvalidArgument(
                f"{cursor!r} is not a cursor.", "Use next_cursor as it was given."
            )
        # By their latest message: two may come in the same millisecond, but not out of order.
        found = await self._db.rows(
            f"{_CONVERSATION} WHERE {where} GROUP BY c.id HAVING ?2 IS NULL OR latest < ?2 "
            "ORDER BY latest DESC LIMIT ?3",
            (pattern, int(cursor) if cursor else None, limit + 1),
        )
        page = [_conversation(row, []) for row in found[:limit]]
        more = len(found) > limit
        return ConversationPage(page, total[0], str(found[limit - 1]["latest"]) if more else None)

    async def rename_conversation(self, conversation_id: str, title: str) -> None:
        """Gives a conversation another title.

        Raises:
            ConversationNotFound: there is none with this id.
        """
        async with self._db.transaction() as tx:
            changed = await tx.execute(
                "UPDATE conversations SET title = ? WHERE id = ?",
                (storable(title), conversation_id),
            )
        if not changed:
            raise _not_found(conversation_id)

    async def delete_conversation(self, conversation_id: str) -> None:
        """Deletes a conversation with its messages and their sources.

        Raises:
            ConversationNotFound: there is none with this id.
        """
        async with self._db.transaction() as tx:
            deleted = await tx.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))
        if not deleted:
            raise _not_found(conversation_id)

    async def _messages(self, conversation_id: str) -> list[Message]:
        found = await self._db.rows(
            "SELECT * FROM messages WHERE conversation_id = ? ORDER BY seq", (conversation_id,)
        )
        sources: dict[str, list[MessageSource]] = {row["id"]: [] for row in found}
        for row in await self._db.rows(
            "SELECT * FROM message_sources "
            "WHERE message_id IN (SELECT value FROM json_each(?)) ORDER BY number",
            (as_json(sources),),
        ):
            sources[row["message_id"]].append(_source(row))
        return [_message(row, sources[row["id"]]) for row in found]


async def _add_message(
    tx: Transaction,
    conversation_id: str,
    role: str,
    content: str,
    model: str | None,
    message_id: str | None = None,
) -> str:
    message_id, at = message_id or _new_id(), now()
    known = await tx.execute(
        "UPDATE conversations SET updated_at = ? WHERE id = ?", (at, conversation_id)
    )
    if not known:
        raise _not_found(conversation_id)
    await tx.execute(
        "INSERT INTO messages (id, conversation_id, role, content, model, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (message_id, conversation_id, role, storable(content), model, at),
    )
    return message_id


def _new_id() -> str:
    return secrets.token_hex(8)


def _title(question: str) -> str:
    words = " ".join(question.split())
    if len(words) <= LONGEST_TITLE:
        return words
    return words[: LONGEST_TITLE - 1].rsplit(" ", 1)[0] + "\u2026"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _not_found(conversation_id: str) -> ConversationNotFound:
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


def _message(row: sqlite3.Row, sources: list[MessageSource]) -> Message:
    return Message(
        row["id"],
        row["role"],
        row["content"],
        row["model"],
        row["created_at"],
        sources,
        row["grounding"],
    )


def _source_values(message_id: str, citation: Citation) -> tuple[str | int | float | None, ...]:
    passage = citation.passage
    return (
        message_id,
        citation.number,
        passage.document_id,
        passage.chunk_id,
        passage.score,
        stored_path(passage.path),
        passage.start_line,
        passage.end_line,
        passage.page,
        storable(json.dumps(passage.heading, ensure_ascii=False)),
        storable(passage.text),
    )


def _source(row: sqlite3.Row) -> MessageSource:
    return MessageSource(
        number=row["number"],
        document_id=row["document_id"],
        chunk_id=row["chunk_id"],
        relevance_score=row["relevance_score"],
        path=shown_path(row["path"]),
        start_line=row["start_line"],
        end_line=row["end_line"],
        page=row["page"],
        heading=json.loads(row["heading"]),
        text=row["text"],
    )
