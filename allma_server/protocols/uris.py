"""What stands behind an `allma:` URI, for editors (virtual documents) and MCP clients (resources).

`allma://document/ID`, `allma://conversation/ID`, `allma://answer/MESSAGE_ID` and `allma://status`;
a name may end in `.md`.
"""

import json
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from allma_server.answering.export import as_markdown
from allma_server.errors import DocumentNotFound, NotFound
from allma_server.operations import BY_NAME, Call, jsonable
from allma_server.types import Excerpt, is_text, row_id

SCHEME = "allma"


@dataclass(frozen=True, slots=True)
class Content:
    """A read-only text and its media type."""

    text: str
    media_type: str


async def content(call: Call, uri: str) -> Content:
    """The text behind `uri`.

    Raises:
        NotFound: there is nothing of that kind or id.
    """
    try:
        parts = urlsplit(uri if is_text(uri) else "")
    except ValueError:
        parts = urlsplit("")
    kind, _, rest = f"{parts.netloc}{parts.path}".strip("/").partition("/")
    name = unquote(rest).removesuffix(".md")
    if parts.scheme != SCHEME or not is_text(name):
        raise NotFound(f"{uri!r} is not an allma: URI.")
    if kind == "status" and not name:
        status = await BY_NAME["status"](call, {})
        return Content(
            json.dumps(jsonable(status), indent=2, ensure_ascii=False), "application/json"
        )
    if kind == "document" and name:
        return Content(await _document(call, name), "text/plain")
    if kind == "conversation" and name:
        exported = await BY_NAME["conversations.export"](call, {"id": name})
        return Content(exported.markdown, "text/markdown")
    if kind == "answer" and name:
        return Content(await _answer(call, name), "text/markdown")
    raise NotFound(
        f"There is nothing at {uri!r}.",
        "There are allma://document/ID, allma://conversation/ID, allma://answer/MESSAGE_ID and "
        "allma://status.",
    )


async def _answer(call: Call, message_id: str) -> str:
    """One answer with its question and its sources."""
    conversation = await call.engine.catalog.conversation_with(message_id)
    ids = [message.id for message in conversation.messages]
    at = ids.index(message_id)
    turn = conversation.messages[max(0, at - 1) : at + 1]
    return as_markdown(replace(conversation, messages=turn))


async def _document(call: Call, name: str) -> str:
    """All of a document, however many excerpts that takes."""
    source, text, line = f"{SCHEME}://document/{name}", "", 1
    if (id := row_id(name)) is None:
        raise DocumentNotFound(f"{source!r} names no document.", "The id is a number.")
    while True:
        part: Excerpt = await BY_NAME["read"](call, {"source": source, "start_line": line})
        if part.source == "index":
            # Its lines may be too long for an excerpt.
            return (await call.engine.catalog.extracted_text(id))[0]
        text += part.text + "\n"
        if part.end_line >= part.total_lines or part.end_line < line:
            return text
        line = part.end_line + 1
