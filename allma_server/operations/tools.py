"""What the MCP tools say beyond their operations."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ToolDescription:
    """The title of a tool, and what its operations do not say.

    `about` is added to the description. `single`: list arguments of which the tool takes one value,
    with the tool's name for it. `returns`: fields in its output schema, with their JSON types.
    """

    title: str
    about: str = ""
    single: Mapping[str, str] = field(default_factory=dict[str, str])
    returns: Mapping[str, str] = field(default_factory=dict[str, str])


TOOL_DESCRIPTIONS = {
    "search": ToolDescription(
        "Search the user's files",
        "Action explain shows why it finds that.",
        returns={"passages": "array"},
    ),
    "ask": ToolDescription(
        "Ask the user's files",
        returns={"text": "string", "citations": "array", "conversation_id": "string"},
    ),
    "read": ToolDescription(
        "Read a document", returns={"path": "string", "text": "string", "end_line": "integer"}
    ),
    "index": ToolDescription(
        "Index folders",
        "Choose what can be searched; only folders the user named.",
        {"paths": "path"},
    ),
    "documents": ToolDescription("List indexed documents"),
    "conversations": ToolDescription(
        "Chat history", "Earlier questions and answers, from all clients."
    ),
    "models": ToolDescription("Chat models", "The local models that write answers."),
    "status": ToolDescription("State of the index"),
}
"""By the tool's name. A tool without an entry has its name as its title, and its operations'
descriptions."""
