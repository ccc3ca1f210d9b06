"""Values that a shell completes: asked of the running engine, and none where none is running."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

Choice = tuple[str, str]
"""A value, and what is shown beside it."""

SECONDS = 2.0
"""How long a user waits who has pressed Tab."""


def workspaces(context: typer.Context, incomplete: str) -> list[Choice]:
    """Return the indexed folders; without one, the shell completes paths."""
    found = _ask(context, "status", {})
    return _matching(incomplete, ((each.path, "") for each in found.workspaces) if found else ())


def models(context: typer.Context, incomplete: str) -> list[Choice]:
    """Return the installed chat models."""
    found = _ask(context, "models.list", {})
    names = ((each.name, each.parameters or "") for each in found.models) if found else ()
    return _matching(incomplete, names)


def conversations(context: typer.Context, incomplete: str) -> list[Choice]:
    """Return the latest conversations with their titles."""
    found = _ask(context, "conversations.list", {"limit": 50})
    rows = ((each.id, each.title) for each in found.conversations) if found else ()
    return _matching(incomplete, rows)


def settings(context: typer.Context, incomplete: str) -> list[Choice]:
    """Return the names of the settings."""
    from allma_server.config import Config  # late: not for the help

    fields = Config.model_fields.items()
    return _matching(incomplete, ((key, field.description or "") for key, field in fields))


def clients(context: typer.Context, incomplete: str) -> list[Choice]:
    """Return the AI clients that Allma can be added to."""
    from allma_server.integrations import AI_CLIENTS  # late: not for the help

    return _matching(incomplete, ((client.name, client.title) for client in AI_CLIENTS))


def _matching(incomplete: str, choices: Iterable[Choice]) -> list[Choice]:
    return [choice for choice in choices if choice[0].startswith(incomplete)]


def _ask(context: typer.Context, operation: str, arguments: dict[str, object]) -> Any:
    """Return the result of an operation; None where it fails or takes too long."""
    import asyncio  # late: not for the help

    from allma_server.locations import data_dir
    from allma_server.protocols.shell.client import running_session

    named = context.params.get("data") or context.find_root().params.get("data")

    async def ask(data: Path) -> Any:
        async with asyncio.timeout(SECONDS), running_session(data) as session:
            return await session.run(operation, arguments) if session else None

    # Whatever goes wrong, a message would appear in the line that the user is writing.
    with contextlib.suppress(Exception):
        return asyncio.run(ask(data_dir(named)))
    return None
