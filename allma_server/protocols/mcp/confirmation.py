"""Confirmation by the user before something is deleted.

A client that supports elicitation is asked, in the way of its protocol revision; for any other,
the call itself counts as the user's wish. No state is kept between question and answer: the key of
the answer says what was asked, so a restart in between does no harm.
"""

import json
import logging
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from pydantic import ValidationError

from allma_server.operations import BY_NAME, Call, Operation
from allma_server.protocols.mcp.connection import Context

_IN_RESULTS = "2026-07-28"
"""The revision since which a server asks in the result of a call instead of a request."""

_DECLINED = "The user declined; nothing was deleted."

_log = logging.getLogger(__name__)

Arguments = Mapping[str, Any]


async def confirm(
    context: Context,
    params: types.CallToolRequestParams,
    call: Call,
    operation: Operation,
    arguments: Arguments,
) -> types.CallToolResult | types.InputRequiredResult | None:
    """Ask the user before a destructive operation.

    Returns:
        None if the operation may run, else the result of the call.

    Raises:
        PermissionDenied: the principal may not run it, so nothing is asked.
        ConversationNotFound: the conversation to delete does not exist.
    """
    if not operation.destroys or not _can_ask(context):
        return None
    operation.authorize(call.principal)
    question = await _question(call, operation, arguments)
    if context.protocol_version < _IN_RESULTS:
        answer = await _ask(context, question)
    else:
        key = _key(operation, arguments)
        given = (params.input_responses or {}).get(key)
        if given is None:
            return types.InputRequiredResult(input_requests={key: question})
        answer = given if isinstance(given, types.ElicitResult) else None
    return None if answer is not None and answer.action == "accept" else _declined()


def _can_ask(context: Context) -> bool:
    declared = context.session.client_capabilities
    forms = declared.elicitation if declared is not None else None
    # A client that names no mode means forms, which are older than the modes.
    return forms is not None and (forms.form is not None or forms.url is None)


async def _question(call: Call, operation: Operation, arguments: Arguments) -> types.ElicitRequest:
    """Return a form without fields: accepting it is the answer."""
    subject = ", ".join(map(str, arguments.values()))
    if operation is BY_NAME["conversations.delete"]:
        subject = (await call.engine.catalog.conversation(subject)).title
    return types.ElicitRequest(
        params=types.ElicitRequestFormParams(
            message=f"{operation.summary}\n\n{subject}",
            requested_schema={"type": "object", "properties": {}},
        )
    )


async def _ask(context: Context, question: types.ElicitRequest) -> types.ElicitResult | None:
    try:
        return await context.session.send_request(
            question,
            types.ElicitResult,
            metadata=ServerMessageMetadata(related_request_id=context.request_id),
        )
    except (MCPError, ValidationError) as exc:
        _log.info("the client did not ask the user: %s", exc)
        return None


def _key(operation: Operation, arguments: Arguments) -> str:
    """Return the key of this question, different for every operation and arguments."""
    asked = json.dumps([operation.name, dict(arguments)], sort_keys=True)
    return f"confirm-{blake2b(asked.encode(), digest_size=8).hexdigest()}"


def _declined() -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(text=_DECLINED)],
        structured_content={"state": "declined", "notice": _DECLINED},
    )
