"""Tools: listed from the table, called in time, answered as text and as data."""

import logging
import time
from functools import partial
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from allma_server.doors.mcp.client import INTERNAL, Client, Context
from allma_server.doors.mcp.consent import consent
from allma_server.doors.mcp.resources import Resources
from allma_server.doors.patience import Relay, StillRunning, within
from allma_server.doors.text import as_text
from allma_server.doors.tools import BY_TOOL_NAME, TOOLS, Tool
from allma_server.errors import AllmaError, as_dict
from allma_server.model import Answer, Passage, SearchResult
from allma_server.operations import BY_NAME, Operation, jsonable

CALL_SECONDS = 40.0
"""After this long a call is answered with what there is; clients stop waiting at 60."""

SETTLE_SECONDS = 8.0
"""How long a search waits for the client's own folders to be indexed."""

_FIRST_LINKS = "2025-06-18"
"""The revision that brought resource links."""

_LOOK_INTO_FOLDERS = (BY_NAME["search"], BY_NAME["explain"], BY_NAME["ask"])
"""Operations that find more once the client's own folders are indexed."""

_log = logging.getLogger(__name__)


class Calls:
    """The tools of one client."""

    def __init__(self, client: Client, resources: Resources) -> None:
        self._client = client
        self._resources = resources

    async def list(self, context: Context, params: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[_described(tool) for tool in TOOLS])

    async def call(
        self, context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        tool = BY_TOOL_NAME.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        try:
            operation, arguments = tool.choose(params.arguments or {})
            return await self._run(context, params, operation, arguments)
        except AllmaError as exc:
            return _failed(as_dict(exc), str(exc))
        except Exception:
            _log.exception("the tool %s failed", params.name)
            return _failed({"code": "internal_error", "message": INTERNAL, "hint": None}, INTERNAL)

    async def _run(
        self,
        context: Context,
        params: types.CallToolRequestParams,
        operation: Operation,
        arguments: dict[str, Any],
    ) -> types.CallToolResult | types.InputRequiredResult:
        until = time.monotonic() + CALL_SECONDS
        looks = operation in _LOOK_INTO_FOLDERS
        relay = Relay(context.session.report_progress, partial(_announce, context))
        async with relay.telling():
            call = await self._client.call(
                context, progress=relay, settle=SETTLE_SECONDS if looks else 0
            )
            withheld = await consent(context, params, call, operation, arguments)
            if withheld is not None:
                return withheld
            # Who is asked may think as long as they like.
            left = CALL_SECONDS if operation.destroys else until - time.monotonic()
            try:
                result = await within(left, operation, call, arguments, call.engine.tasks)
            except StillRunning:
                return _unfinished(operation, relay)
        if operation.writes:
            await self._resources.changed()
        result = self._client.folders.noted(result)
        return _succeeded(result, links=context.protocol_version >= _FIRST_LINKS)


def _described(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.schema,
        annotations=types.ToolAnnotations(
            read_only_hint=tool.reads_only,
            destructive_hint=tool.destroys,
            open_world_hint=False,
        ),
    )


def _succeeded(result: Any, *, links: bool) -> types.CallToolResult:
    """A result for those who read text, for those who read data, and with what can be opened.

    Some clients show their model only the text, others only the data: each is complete.
    """
    blocks: list[types.ContentBlock] = [types.TextContent(text=as_text(result))]
    if links:
        blocks += _links(result)
    return types.CallToolResult(content=blocks, structured_content=jsonable(result))


def _links(result: Any) -> list[types.ResourceLink]:
    shown: list[Passage] = []
    match result:
        case SearchResult(passages=passages):
            shown = passages
        case Answer(citations=citations):
            shown = [c.passage for c in citations if c.cited]
        case _:
            pass
    paths = {p.document_id: p.path for p in shown}
    return [
        types.ResourceLink(name=path, uri=f"allma://document/{id}") for id, path in paths.items()
    ]


def _failed(error: dict[str, str | None], text: str) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(text=text)], structured_content=error, is_error=True
    )


def _unfinished(operation: Operation, relay: Relay) -> types.CallToolResult:
    """What there is of a call that goes on, and how to get the rest."""
    data: dict[str, Any] = {"state": "running"}
    if (id := relay.conversation_id) is not None:
        note = (
            "The answer is still being written. In a minute, call conversations with action "
            f'"show" and id "{id}" for the whole of it.'
        )
        data |= {"text": relay.written, "conversation_id": id}
    else:
        how_far = relay.message or "working"
        note = f"{operation.name} goes on by itself ({how_far}); look again in a minute."
    text = f"{relay.written} …\n\n{note}" if relay.written else note
    return types.CallToolResult(
        content=[types.TextContent(text=text)], structured_content=data | {"notice": note}
    )


async def _announce(context: Context, done: float, conversation_id: str, message_id: str) -> None:
    """Tells the conversation of an answer before its text: who stops it can then go on there."""
    token = context.meta.get("progress_token") if context.meta else None
    if token is None or context.request_id is None:
        return
    started = {"conversation_id": conversation_id, "message_id": message_id}
    params = types.ProgressNotificationParams(
        progress_token=token, progress=done, _meta={"allma/started": started}
    )
    await context.session.send_notification(
        types.ProgressNotification(params=params), context.request_id
    )
