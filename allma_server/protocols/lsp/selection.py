"""Code actions on a selection: commands that ask about it, or look for what belongs to it."""

from pathlib import PurePath
from typing import Any
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from pygls.workspace import Workspace

KIND = "allma"
_LONGEST = 4000
"""Characters of a selection that are asked about."""


def code_actions(
    params: types.CodeActionParams, workspace: Workspace, *, literals: bool
) -> list[types.CodeAction | types.Command]:
    """The actions for a selection in an open document; none for an empty one.

    `literals`: whether the client takes code actions, and not only commands.
    """
    wanted = params.context.only
    if wanted is not None and not any(f"{KIND}.".startswith(f"{kind}.") for kind in wanted if kind):
        return []
    document = workspace.text_documents.get(params.text_document.uri)
    if document is None:
        return []
    selected = document.text_in_client_range(params.range).strip()[:_LONGEST]
    if not selected:
        return []
    name = PurePath(unquote(urlsplit(params.text_document.uri).path)).name
    lines = f"{params.range.start.line + 1}-{params.range.end.line + 1}"
    question = f"Explain this selection from {name}, lines {lines}:\n\n{selected}"
    return [
        _action("Allma: explain selection", "allma.ask", {"question": question}, literals),
        _action("Allma: find related sources", "allma.search", {"query": selected}, literals),
    ]


def _action(
    title: str, name: str, argument: dict[str, Any], literals: bool
) -> types.CodeAction | types.Command:
    command = types.Command(title=title, command=name, arguments=[argument])
    return types.CodeAction(title=title, kind=KIND, command=command) if literals else command
