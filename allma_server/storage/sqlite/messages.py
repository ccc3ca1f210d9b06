"""Messages of conversations: a question, then its answer with copies of its sources."""

import json
import secrets

from allma_server.storage.sqlite.connection import Transaction
from allma_server.storage.sqlite.conversations import Conversations, not_found
from allma_server.storage.sqlite.rows import storable, stored_path
from allma_server.types import AnswerRecord, Citation, Summary, Turn, now

MAX_TITLE = 80


class ConversationMessages(Conversations):
    """Add questions and answers to conversations."""

    async def begin_turn(
        self, conversation_id: str | None, question: str, title: str | None = None
    ) -> Turn:
        """Store a question before it is answered; without an id, start a conversation.

        Raises:
            ConversationNotFound: the conversation to continue does not exist.
        """
        earlier = (await self.conversation(conversation_id)).messages if conversation_id else []
        async with self._db.transaction() as tx:
            if conversation_id is None:
                conversation_id = _new_id()
                at = now()
                await tx.execute(
                    "INSERT INTO conversations (id, title, created_at, updated_at, user) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (conversation_id, storable(title or _title(question)), at, at, self.user),
                )
            message_id = await _add_message(tx, conversation_id, "user", question, None)
        return Turn(conversation_id, message_id, question, earlier)

    async def unstored_turn(self, conversation_id: str | None, question: str) -> Turn:
        """Return a question that is answered without being stored.

        Raises:
            ConversationNotFound: the conversation to continue does not exist.
        """
        if conversation_id is None:
            return Turn(_new_id(), _new_id(), question, [])
        known = await self.conversation(conversation_id)
        return Turn(conversation_id, _new_id(), question, known.messages)

    async def plan_turn(self, replaces: str, question: str) -> Turn:
        """Return a question that replaces an earlier one, named by its message id or its answer's.

        Nothing changes before `replace_turn`.

        Raises:
            ConversationNotFound: there is no such message.
        """
        conversation = await self.conversation_with(replaces)
        messages = conversation.messages
        at = next(i for i, message in enumerate(messages) if message.id == replaces)
        while at > 0 and messages[at].role != "user":
            at -= 1
        return Turn(conversation.id, _new_id(), question, messages[:at], messages[at].id)

    async def replace_turn(self, turn: Turn) -> None:
        """Store a planned question instead of the one it replaces and everything after that.

        Raises:
            ConversationNotFound: the conversation has been deleted.
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
                # A title that the user wrote stays.
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

    async def finish_turn(self, conversation_id: str, answer: AnswerRecord) -> str:
        """Store an answer with copies of its sources, and return its message id.

        Raises:
            ConversationNotFound: the conversation has been deleted.
        """
        async with self._db.transaction() as tx:
            message_id = await _add_message(
                tx, conversation_id, "assistant", answer.text, answer.model
            )
            await tx.execute(
                "UPDATE messages SET grounding = ? WHERE id = ?", (answer.grounding, message_id)
            )
            await tx.many(
                "INSERT INTO message_sources (message_id, number, document_id, chunk_id, "
                "relevance_score, path, start_line, end_line, page, heading, text) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [_source_values(message_id, citation) for citation in answer.citations],
            )
        return message_id

    async def summary(self, conversation_id: str) -> Summary | None:
        """Return the summary of a conversation, if one was stored."""
        row = await self._db.row(
            "SELECT until, text FROM summaries WHERE conversation_id = ?", (conversation_id,)
        )
        return Summary(row["until"], self._shown(row["text"])) if row else None

    async def save_summary(self, conversation_id: str, summary: Summary) -> None:
        """Store a summary, replacing an earlier one."""
        async with self._db.transaction() as tx:
            # Without the message, which may have been replaced meanwhile, nothing is stored.
            await tx.execute(
                "REPLACE INTO summaries SELECT ?, id, ? FROM messages WHERE id = ?",
                (conversation_id, storable(summary.text), summary.until),
            )


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
        raise not_found(conversation_id)
    await tx.execute(
        "INSERT INTO messages (id, conversation_id, role, content, model, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (message_id, conversation_id, role, storable(content), model, at),
    )
    return message_id


def _new_id() -> str:
    return secrets.token_hex(8)


def _title(question: str) -> str:
    # A text that the question is about comes after it.
    words = " ".join(question.strip().partition("\n\n")[0].split())
    if len(words) <= MAX_TITLE:
        return words
    return words[: MAX_TITLE - 1].rsplit(" ", 1)[0] + "\u2026"


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
