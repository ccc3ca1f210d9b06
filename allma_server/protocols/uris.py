"""Texts behind `allma:` URIs, for editors (virtual documents) and MCP clients (resources).

`allma://document/ID`, `allma://shared/NAME/PATH`, `allma://conversation/ID`,
`allma://answer/MESSAGE_ID` and `allma://status`; a name, except that of a shared document, may end
in `.md`.
"""

import json
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from allma_server.answering.export import to_markdown
from allma_server.errors import DocumentNotFound, NotFound
from allma_server.operations import BY_NAME, Call, jsonable
from allma_server.types import SHARED, Conversation, Excerpt, Principal, is_text, row_id

SCHEME = "allma"

_READ_BY = {
    "status": BY_NAME["status"],
    "document": BY_NAME["read"],
    "shared": BY_NAME["read"],
    "conversation": BY_NAME["conversations.export"],
    "answer": BY_NAME["conversations.show"],
}
"""The operation that reads a URI's kind: who may not call it may not read or watch the URI."""


@dataclass(frozen=True, slots=True)
class Content:
    """A read-only text and its media type."""

    text: str
    media_type: str


def authorize(principal: Principal, uri: str) -> None:
    """Check that a principal may read the text behind `uri`.

    Raises:
        PermissionDenied: the principal lacks the right.
        NotFound: it is not an `allma:` URI of a known kind.
    """
    _READ_BY[_parsed(uri)[0]].authorize(principal)


async def content(call: Call, uri: str) -> Content:
    """Return the text behind `uri`.

    Raises:
        PermissionDenied: the principal of the call lacks the right.
        NotFound: nothing has this URI.
    """
    authorize(call.principal, uri)
    match _parsed(uri):
        case "status", _:
            status = await _READ_BY["status"](call, {})
            text = json.dumps(jsonable(status), indent=2, ensure_ascii=False)
            return Content(text, "application/json")
        case "document", name:
            return Content(await _document(call, name), "text/plain")
        case "shared", name:
            return Content((await _whole(call, f"{SHARED}{name}"))[0], "text/plain")
        case "conversation", name:
            exported = await _READ_BY["conversation"](call, {"id": name})
            return Content(exported.markdown, "text/markdown")
        case _, name:
            return Content(to_markdown(await _turn(call, name)), "text/markdown")


def _parsed(uri: str) -> tuple[str, str]:
    """Return the kind and the name of an `allma:` URI."""
    try:
        parts = urlsplit(uri if is_text(uri) else "")
    except ValueError:
        parts = urlsplit("")
    kind, _, rest = f"{parts.netloc}{parts.path}".strip("/").partition("/")
    name = unquote(rest) if kind == "shared" else unquote(rest).removesuffix(".md")
    if parts.scheme != SCHEME or not is_text(name):
        raise NotFound(f"{uri!r} is not an allma: URI.")
    if kind not in _READ_BY or (kind == "status") == bool(name):
        raise NotFound(
            f"Nothing has the URI {uri!r}.",
            "Known are allma://document/ID, allma://shared/NAME/PATH, allma://conversation/ID, "
            "allma://answer/MESSAGE_ID and allma://status.",
        )
    return kind, name


async def messages(call: Call, uri: str) -> Conversation | None:
    """Return the messages that the Markdown behind `uri` shows; None if it shows none.

    Raises:
        PermissionDenied, NotFound: as `content`.
    """
    authorize(call.principal, uri)
    match _parsed(uri):
        case "conversation", name:
            return await BY_NAME["conversations.show"](call, {"id": name})
        case "answer", name:
            return await _turn(call, name)
        case _:
            return None


async def _turn(call: Call, message_id: str) -> Conversation:
    """One answer with its question and its sources."""
    conversation = await call.engine.catalog.conversation_with(message_id)
    ids = [message.id for message in conversation.messages]
    at = ids.index(message_id)
    return replace(conversation, messages=conversation.messages[max(0, at - 1) : at + 1])


async def _document(call: Call, name: str) -> str:
    """Return a whole document, read in as many excerpts as it takes."""
    source = f"{SCHEME}://document/{name}"
    if (id := row_id(name)) is None:
        raise DocumentNotFound(f"{source!r} names no document.", "The id is a number.")
    text, is_of_index = await _whole(call, source)
    # Its lines may be too long for an excerpt.
    return (await call.engine.catalog.extracted_text(id))[0] if is_of_index else text


async def _whole(call: Call, source: str) -> tuple[str, bool]:
    """Return all lines of a source, or one excerpt and True where the index has its text."""
    text, line = "", 1
    while True:
        part: Excerpt = await _READ_BY["document"](call, {"source": source, "start_line": line})
        text += part.text + "\n"
        if part.source == "index" or part.end_line >= part.total_lines or part.end_line < line:
            return text, part.source == "index"
        line = part.end_line + 1
