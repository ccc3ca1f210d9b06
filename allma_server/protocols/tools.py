"""The eight tools of the MCP door, as a view of the operations.

A tool is one operation, or several chosen by its argument `action`: few tools cost a model's
context less than many. Names, arguments and descriptions are read off the operations.
"""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic.alias_generators import to_snake

from allma_server.errors import InvalidArgument
from allma_server.operations import BY_NAME, Operation

_HIDDEN = {"limit", "replaces"}
"""Arguments that a model has no use for; each costs a piece of its context."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The operation that a call means, its arguments, and what of the call was left out."""

    operation: Operation
    arguments: dict[str, Any]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: its operations by action, and the one without an action under None.

    `single`: list arguments of an operation that the tool takes one value for, by its own name.
    `returns`: the fields of its result that its output schema names, with their JSON types.
    """

    name: str
    title: str
    operations: Mapping[str | None, Operation]
    about: str = ""
    single: Mapping[str, str] = field(default_factory=dict[str, str])
    returns: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def reads_only(self) -> bool:
        return not any(operation.writes for operation in self.operations.values())

    @property
    def loses_data(self) -> bool:
        """Whether it can delete what cannot be made again: the index can, from the files."""
        operations = self.operations.values()
        return any(operation.destroys and not operation.rebuildable for operation in operations)

    @property
    def output_schema(self) -> dict[str, Any] | None:
        """The main fields of its result; none is required, for a failure has others."""
        if not self.returns:
            return None
        return {"type": "object", "properties": {n: {"type": t} for n, t in self.returns.items()}}

    @property
    def description(self) -> str:
        """What a model reads to decide for or against the tool."""
        if (only := self.operations.get(None)) is not None:
            return f"{' '.join((inspect.getdoc(only.run) or '').split())} {self.about}".strip()
        actions = " ".join(f"{action}: {o.summary}" for action, o in self.operations.items())
        return f"{self.about} {actions}".strip()

    @property
    def actions(self) -> list[str]:
        """What its argument `action` may be; that is optional where None is an operation."""
        return [action for action in self.operations if action is not None]

    @property
    def schema(self) -> dict[str, Any]:
        """The arguments as a flat JSON Schema: no references, no unions, no titles."""
        properties: dict[str, Any] = {}
        required: list[str] = []
        if None not in self.operations:
            properties["action"] = {"type": "string", "enum": self.actions}
            required.append("action")
        needed: list[set[str]] = []
        for operation in self.operations.values():
            whole = operation.arguments.model_json_schema(by_alias=False)
            found = {
                self._shown(n): _flat(p)
                for n, p in whole.get("properties", {}).items()
                if n not in _HIDDEN
            }
            properties |= {n: p for n, p in found.items() if n not in properties}
            needed.append({self._shown(n) for n in whole.get("required", [])})
        if None in self.operations and self.actions:
            properties["action"] = {"type": "string", "enum": self.actions}
        required += [n for n in properties if all(n in names for names in needed)]
        schema = {"type": "object", "properties": properties}
        return schema | {"required": required} if required else schema

    def choose(self, arguments: Mapping[str, Any]) -> Selection:
        """What a call means. Null and, where it is optional, an empty string count as not given.

        Arguments of the tool's other actions are left out: models like to fill in everything.
        So are unknown ones, which some clients add to every call; the note says so.

        Raises:
            InvalidArgument: an argument is missing, or there is no such action.
        """
        given, unknown = self._known(arguments)
        operation = self._operation(given.pop("action", None))
        chosen: dict[str, Any] = {}
        missing: list[str] = []
        for name, known_field in operation.arguments.model_fields.items():
            shown, required = self._shown(name), known_field.is_required()
            value = given.get(shown)
            if value is None or (value == "" and not required):
                if required:
                    missing.append(shown)
                continue
            chosen[name] = [value] if shown != name and not isinstance(value, list) else value
        note = self._note(unknown)
        if missing:
            action = self._action(operation)
            where = f" with action {action!r}" if action else ""
            raise InvalidArgument(f"{self.name}{where} needs the argument {missing[0]!r}.", note)
        return Selection(operation, chosen, note)

    def _known(self, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The arguments that the tool has, by their own names, and the names of the others."""
        known = self.schema["properties"]
        hidden = {n for o in self.operations.values() for n in o.arguments.model_fields}
        given: dict[str, Any] = {}
        unknown: list[str] = []
        for name, value in arguments.items():
            own = self._shown(to_snake(name))
            if own in known:
                given[own] = value
            elif own not in hidden:
                unknown.append(name)
        return given, unknown

    def _note(self, unknown: Sequence[str]) -> str | None:
        if not unknown:
            return None
        known = list(self.schema["properties"])
        near = difflib.get_close_matches(to_snake(unknown[0]), known, n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        names = ", ".join(map(repr, unknown))
        return f"Ignored: {names}. {self.name} takes: {', '.join(known)}.{meant}"

    def _operation(self, action: object) -> Operation:
        for known, operation in self.operations.items():
            if known == action:
                return operation
        raise InvalidArgument(f"{self.name} needs an action: {', '.join(self.actions)}.")

    def _action(self, operation: Operation) -> str | None:
        return next(a for a, o in self.operations.items() if o is operation)

    def _shown(self, name: str) -> str:
        return self.single.get(name, name)


def _flat(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A property without title, null and default null: what several clients cannot read."""
    kinds: list[dict[str, Any]] = [k for k in schema.get("anyOf", []) if k.get("type") != "null"]
    merged: dict[str, Any] = {**(kinds[0] if kinds else {}), **schema}
    if merged.get("type") == "array":
        merged["type"] = merged["items"]["type"]
    kept = ["type", "enum", "default", "description"]
    if "maximum" in merged:
        kept += ["minimum", "maximum"]
    return {k: merged[k] for k in kept if k in merged and merged[k] is not None}


def _tool(name: str, title: str, about: str = "", **actions: str) -> Tool:
    operations = {action: BY_NAME[o] for action, o in actions.items()} or {None: BY_NAME[name]}
    return Tool(name, title, cast("dict[str | None, Operation]", operations), about)


TOOLS = (
    Tool(
        "search",
        "Search the user's files",
        {None: BY_NAME["search"], "explain": BY_NAME["explain"]},
        "Action explain tells why it finds that.",
        returns={"passages": "array"},
    ),
    Tool(
        "ask",
        "Ask the user's files",
        {None: BY_NAME["ask"]},
        returns={"text": "string", "citations": "array", "conversation_id": "string"},
    ),
    Tool(
        "read",
        "Read a document",
        {None: BY_NAME["read"]},
        returns={"path": "string", "text": "string", "end_line": "integer"},
    ),
    Tool(
        "index",
        "Index folders",
        {"add": BY_NAME["ingest"], "remove": BY_NAME["forget"], "sync": BY_NAME["sync"]},
        "Choose what can be searched; only folders the user named.",
        {"paths": "path"},
    ),
    _tool("documents", "List indexed documents"),
    _tool(
        "conversations",
        "Chat history",
        "Earlier questions and answers, from all clients.",
        list="conversations.list",
        show="conversations.show",
        rename="conversations.rename",
        delete="conversations.delete",
        export="conversations.export",
    ),
    _tool(
        "models",
        "Chat models",
        "The local models that write answers.",
        list="models.list",
        show="models.show",
        pull="models.pull",
        use="models.use",
        delete="models.delete",
    ),
    _tool("status", "State of the index"),
)

BY_TOOL_NAME = {tool.name: tool for tool in TOOLS}
