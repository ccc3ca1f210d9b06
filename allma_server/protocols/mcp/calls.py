"""Tool calls: listed from the table, bounded in time, returned as text and as data."""

import logging
import time
from functools import partial

import mcp_types as types
from mcp.shared.exceptions import MCPError

from allma_server.operations import Operation
from allma_server.protocols.deadline import ProgressRelay, StillRunning, run_with_deadline
from allma_server.protocols.faults import fault_of
from allma_server.protocols.mcp.confirmation import confirm
from allma_server.protocols.mcp.connection import Connection, Context
from allma_server.protocols.mcp.resources import Resources
from allma_server.protocols.mcp.results import failed, succeeded, unfinished, with_note
from allma_server.protocols.tools import BY_TOOL_NAME, TOOLS, Tool
from allma_server.types import Right

CALL_SECONDS = 40.0
"""After this long a call returns what it has so far; clients stop waiting at 60."""

SETTLE_SECONDS = 8.0
"""How long a search waits for the client's own folders to be indexed."""

_FIRST_LINKS = "2025-06-18"
"""The revision that brought resource links."""

_SEARCHES = {Right.SEARCH, Right.ASK}
"""Rights of operations that find more once the client's own folders are indexed."""

_log = logging.getLogger(__name__)


class ToolCalls:
    """The tool calls of one client."""

    def __init__(self, connection: Connection, resources: Resources) -> None:
        self._connection = connection
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
        except Exception as exc:
            return failed(fault_of(exc, _log))

    async def _run(
        self,
        context: Context,
        params: types.CallToolRequestParams,
        operation: Operation,
        arguments: dict[str, object],
    ) -> types.CallToolResult | types.InputRequiredResult:
        until = time.monotonic() + CALL_SECONDS
        searches = operation.needs in _SEARCHES
        relay = ProgressRelay(context.session.report_progress, partial(_announce, context))
        async with relay.sending():
            call = await self._connection.call(
                context, progress=relay, settle=SETTLE_SECONDS if searches else 0
            )
            withheld = await confirm(context, params, call, operation, arguments)
            if withheld is not None:
                return withheld
            # The user may have taken any time to confirm.
            left = CALL_SECONDS if operation.destroys else until - time.monotonic()
            try:
                result = await run_with_deadline(left, operation, call, arguments)
            except StillRunning:
                return unfinished(operation, relay)
        if operation.writes:
            await self._resources.changed()
        result = self._connection.folders.with_notice(result)
        return succeeded(result, links=context.protocol_version >= _FIRST_LINKS)


def _described(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=dict(tool.schema),
        output_schema=tool.output_schema,
        annotations=types.ToolAnnotations(
            read_only_hint=tool.reads_only,
            # Means nothing where nothing is written, and the list must stay short.
            destructive_hint=None if tool.reads_only else tool.loses_data,
            open_world_hint=False,
        ),
    )


async def _announce(context: Context, done: float, conversation_id: str, message_id: str) -> None:
    """Send the ids of a question before the answer: a client that stops it can continue there."""
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
