"""Code actions on a selection: ask about it, or find related passages."""

from pathlib import PurePath
from urllib.parse import unquote, urlsplit

from lsprotocol import types
from pygls.workspace import Workspace

KIND = "allma"
_LONGEST = 4000
"""Characters of a selection that are sent."""


def code_actions(
    params: types.CodeActionParams, workspace: Workspace, *, literals: bool
) -> list[types.CodeAction | types.Command]:
    """Return the actions for a selection in an open document; none if it is empty.

    `literals`: whether the client supports code actions, and not only commands.
    """
    wanted = params.context.only
    if wanted is not None and not any(f"{KIND}.".startswith(f"{kind}.") for kind in wanted if kind):
        return []
    document = workspace.text_documents.get(unquote(params.text_document.uri))
    if document is None:
        return []
    selected = document.text_in_client_range(params.range).strip()[:_LONGEST]
    if not selected:
        return []
    name = PurePath(unquote(urlsplit(params.text_document.uri).path)).name
    lines = f"{params.range.start.line + 1}-{params.range.end.line + 1}"
    question = f"Explain this selection from {name}, lines {lines}:\n\n{selected}"
    return [
        _action("Ask Allma about this", "allma.ask", {"question": question}, literals),
        _action("Find related passages", "allma.search", {"query": selected}, literals),
    ]


def _action(
    title: str, name: str, argument: dict[str, object], literals: bool
) -> types.CodeAction | types.Command:
    command = types.Command(title=title, command=name, arguments=[{**argument, "show": True}])
    return types.CodeAction(title=title, kind=KIND, command=command) if literals else command
