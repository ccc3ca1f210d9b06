"""Tools: listed from the table, called in time, answered as text and as data."""

import logging
import time
from functools import partial
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from allma_server.errors import AllmaError, as_dict
from allma_server.operations import BY_NAME, Operation
from allma_server.protocols.deadline import ProgressRelay, StillRunning, within
from allma_server.protocols.mcp.confirmation import consent
from allma_server.protocols.mcp.connection import INTERNAL, Client, Context
from allma_server.protocols.mcp.resources import Resources
from allma_server.protocols.mcp.results import failed, succeeded, unfinished, with_note
from allma_server.protocols.tools import BY_TOOL_NAME, TOOLS, Tool

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
            chosen = tool.choose(params.arguments or {})
            result = await self._run(context, params, chosen.operation, chosen.arguments)
            return with_note(result, chosen.note)
        except AllmaError as exc:
            return failed(as_dict(exc), str(exc))
        except Exception:
            _log.exception("the tool %s failed", params.name)
            return failed({"code": "internal_error", "message": INTERNAL, "hint": None}, INTERNAL)

    async def _run(
        self,
        context: Context,
        params: types.CallToolRequestParams,
        operation: Operation,
        arguments: dict[str, Any],
    ) -> types.CallToolResult | types.InputRequiredResult:
        until = time.monotonic() + CALL_SECONDS
        looks = operation in _LOOK_INTO_FOLDERS
        relay = ProgressRelay(context.session.report_progress, partial(_announce, context))
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
                return unfinished(operation, relay)
        if operation.writes:
            await self._resources.changed()
        result = self._client.folders.noted(result)
        return succeeded(result, links=context.protocol_version >= _FIRST_LINKS)


def _described(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.schema,
        output_schema=tool.output_schema,
        annotations=types.ToolAnnotations(
            read_only_hint=tool.reads_only,
            # Without meaning where nothing is written; each word counts in the list.
            destructive_hint=None if tool.reads_only else tool.loses_data,
            open_world_hint=False,
        ),
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
