"""The MCP tools, made from the operations.

A tool is one operation, or several that its argument `action` selects: few tools take less of a
model's context than many. Names, arguments and descriptions come from the operations.
"""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, Required, TypedDict, cast

from pydantic.alias_generators import to_snake

from allma_server.errors import InvalidArgument
from allma_server.operations import OPERATIONS, Operation
from allma_server.operations.tools import TOOL_DESCRIPTIONS, ToolDescription

_UNLISTED = {"think"}
"""Arguments that a tool takes but does not list: a user's choice, which a model need not know."""
_HIDDEN = {"limit", "replaces", "text", *_UNLISTED}
"""Arguments that a model does not need; each takes some of its context."""


class PropertySchema(TypedDict, total=False):
    """The JSON Schema of an argument."""

    type: Required[str]
    enum: list[str]
    default: object
    description: str
    minimum: float
    maximum: float


class ArgumentsSchema(TypedDict):
    """The JSON Schema of a tool's arguments."""

    type: str
    properties: dict[str, PropertySchema]
    required: NotRequired[list[str]]


@dataclass(frozen=True, slots=True)
class Selection:
    """The operation that a call selects, its arguments, and a note on ignored ones."""

    operation: Operation
    arguments: dict[str, object]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: its operations by action, and the one without an action under None."""

    name: str
    operations: Mapping[str | None, Operation]
    described: ToolDescription

    @property
    def title(self) -> str:
        return self.described.title

    @property
    def reads_only(self) -> bool:
        return not any(operation.writes for operation in self.operations.values())

    @property
    def loses_data(self) -> bool:
        """Whether it can delete data that cannot be rebuilt; the index can be."""
        operations = self.operations.values()
        return any(operation.destroys and not operation.rebuildable for operation in operations)

    @property
    def output_schema(self) -> dict[str, object] | None:
        """The main fields of its result; none is required, because a failure has others."""
        if not (returns := self.described.returns):
            return None
        return {"type": "object", "properties": {n: {"type": t} for n, t in returns.items()}}

    @property
    def description(self) -> str:
        """The text by which a model chooses the tool."""
        about = self.described.about
        if (only := self.operations.get(None)) is not None:
            return f"{' '.join((inspect.getdoc(only.run) or '').split())} {about}".strip()
        actions = " ".join(f"{action}: {o.summary}" for action, o in self.operations.items())
        return f"{about} {actions}".strip()

    @property
    def actions(self) -> list[str]:
        """The values of its argument `action`, which is optional if None is an operation."""
        return [action for action in self.operations if action is not None]

    @property
    def schema(self) -> ArgumentsSchema:
        """The arguments as a flat JSON Schema: no references, no unions, no titles."""
        properties: dict[str, PropertySchema] = {}
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
        schema: ArgumentsSchema = {"type": "object", "properties": properties}
        if required:
            schema["required"] = required
        return schema

    def choose(self, arguments: Mapping[str, Any]) -> Selection:
        """Select the operation. Null and, for optional arguments, the empty string count as absent.

        Arguments of other actions are ignored, because models tend to fill in all of them. Unknown
        ones, which some clients add to every call, are ignored with a note.

        Raises:
            InvalidArgument: an argument is missing, or the action is unknown.
        """
        given, unknown = self._known(arguments)
        operation = self._operation(given.pop("action", None))
        chosen: dict[str, object] = {}
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

    def _known(self, arguments: Mapping[str, Any]) -> tuple[dict[str, object], list[str]]:
        """Return the known arguments, by the tool's names, and the names of the unknown ones."""
        known = self.schema["properties"]
        hidden = {n for o in self.operations.values() for n in o.arguments.model_fields}
        given: dict[str, object] = {}
        unknown: list[str] = []
        for name, value in arguments.items():
            own = self._shown(to_snake(name))
            if own in known or (own in _UNLISTED and own in hidden):
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
        return self.described.single.get(name, name)


def _flat(schema: Mapping[str, Any]) -> PropertySchema:
    """Return a property without title, null and unions, which several clients cannot read."""
    kinds: list[Mapping[str, Any]] = [k for k in schema.get("anyOf", []) if k.get("type") != "null"]
    merged: dict[str, Any] = {**(kinds[0] if kinds else {}), **schema}
    if merged.get("type") == "array":
        merged["type"] = merged["items"]["type"]
    kept = ["type", "enum", "default", "description"]
    if "maximum" in merged:
        kept += ["minimum", "maximum"]
    found = {k: merged[k] for k in kept if k in merged and merged[k] is not None}
    return cast(PropertySchema, found)


def make_tools(operations: Sequence[Operation]) -> tuple[Tool, ...]:
    """Group operations into tools, by the tool that each declares."""
    grouped: dict[str, dict[str | None, Operation]] = {}
    for operation in operations:
        if operation.tool is not None:
            name, _, action = operation.tool.partition(".")
            grouped.setdefault(name, {})[action or None] = operation
    return tuple(_tool(name, by_action) for name, by_action in grouped.items())


def _tool(name: str, by_action: Mapping[str | None, Operation]) -> Tool:
    described = TOOL_DESCRIPTIONS.get(name) or ToolDescription(name.replace("_", " ").capitalize())
    return Tool(name, by_action, described)


TOOLS = make_tools(OPERATIONS)
BY_TOOL_NAME = {tool.name: tool for tool in TOOLS}
