"""Operations, and the context they are called with.

An operation is a typed async function whose first argument is the `Call`. The MCP tool's schema,
the LSP arguments, the command line's options and the reference are made from its signature, so
every client sees the same names, defaults and limits.
"""

import asyncio
import dataclasses
import inspect
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.alias_generators import to_camel, to_snake

from allma_server._internal.logs import AUDIT
from allma_server._internal.path_text import shown
from allma_server._internal.validation import requirement
from allma_server.engine import Engine
from allma_server.errors import AllmaError, InvalidArgument, PermissionDenied
from allma_server.operations.paths import is_path, resolved
from allma_server.ports import Progress
from allma_server.types import Citation, Principal, Right, is_text

_audit = logging.getLogger(AUDIT)

_AUDITED = (
    "path", "paths", "id", "conversation_id", "name", "can", "workspaces", "days", "job_id"
)  # fmt: skip


class NullProgress:
    """Progress that is not reported."""

    async def report(self, done: int, total: int | None, message: str) -> None: ...
    async def started(self, conversation_id: str, message_id: str) -> None: ...
    async def thinking(self, delta: str) -> None: ...
    async def text(self, delta: str) -> None: ...
    async def sources(self, citations: Sequence[Citation]) -> None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """The context of one call: the engine, the principal, progress, and the client's folders.

    `engine` is the part of it that exists for the principal.

    `workspaces` narrow a search that names no workspace; empty means everything indexed.
    `deadline`: seconds after which long work should return its job instead of its report.
    `folders`: where relative paths start. `defaults`: values for optional arguments that the
    caller left out. `look_seconds`: how long a search may first look for changes on the disk.
    """

    engine: Engine
    principal: Principal
    progress: Progress = dataclasses.field(default_factory=NullProgress)
    workspaces: tuple[str, ...] = ()
    deadline: float | None = None
    folders: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, object])
    look_seconds: float = 0.0

    def __post_init__(self) -> None:
        # Whatever runs with this call cannot reach more than its principal may.
        if self.principal.is_limited:
            object.__setattr__(self, "engine", self.engine.seen_by(self.principal))


@dataclass(frozen=True, slots=True)
class Operation:
    """A named operation. `name` is dotted where several belong together (`models.pull`).

    `needs`: the right without which it is refused; whoever declares none gets the strictest.
    `writes`: changes what is stored. `destroys`: removes something, so the user is asked first.
    `rebuildable`: what it removes can be indexed again from the user's files. `tool`: the MCP tool
    through which models call it, `NAME` or `NAME.ACTION`; without one they cannot.
    """

    name: str
    run: Callable[..., Awaitable[Any]]
    needs: Right = Right.ADMIN
    writes: bool = False
    destroys: bool = False
    rebuildable: bool = False
    tool: str | None = None

    @property
    def summary(self) -> str:
        """The first paragraph of the function's docstring."""
        doc = inspect.getdoc(self.run) or ""
        return " ".join(doc.split("\n\n")[0].split())

    @property
    def arguments(self) -> type[BaseModel]:
        """The arguments as a pydantic model that takes snake_case and camelCase keys."""
        return _arguments(self.name, self.run)

    def authorize(self, principal: Principal) -> None:
        """Check that a principal may call this; every call does, before anything is read.

        Raises:
            PermissionDenied: the principal lacks the right.
        """
        if self.needs not in principal.rights:
            raise PermissionDenied(
                f"{principal.name} may not use {self.name}.",
                f"Ask an administrator for the right {self.needs.value!r}.",
            )

    async def __call__(self, call: Call, arguments: Mapping[str, Any]) -> Any:
        """Run it with unchecked arguments.

        Raises:
            PermissionDenied: the principal of the call lacks the right.
            InvalidArgument: an argument is unknown, missing or of the wrong kind.
            AllmaError: the operation failed.
        """
        self.authorize(call.principal)
        try:
            checked = self.arguments.model_validate(self._defaulted(call, arguments))
        except ValidationError as exc:
            raise InvalidArgument(_sentence(self, exc)) from exc
        await call.engine.refresh_settings()
        values = await self._resolved(call, checked)
        outcome = "unexpected error"
        try:
            result = await self.run(call, **values)
            outcome = "done"
            return result
        except asyncio.CancelledError:
            outcome = "stopped"
            raise
        except AllmaError as exc:
            outcome = exc.code
            _hide_data_directory(call, exc)
            raise
        except Exception as exc:
            # A damaged database raises exceptions that no operation expects; they are not bugs.
            if (damage := await call.engine.catalog.damage_behind(exc)) is not None:
                outcome = damage.code
                _hide_data_directory(call, damage)
                raise damage from exc
            raise
        finally:
            self._note(call.principal, values, outcome)

    def _note(self, principal: Principal, values: Mapping[str, object], outcome: str) -> None:
        """Write a line about a change: who, what, to what, and its outcome; never a user's text."""
        if self.writes:
            what = {name: values[name] for name in _AUDITED if values.get(name) is not None}
            _audit.info("%s %s %s: %s", principal.name, self.name, shown(json.dumps(what)), outcome)

    async def _resolved(self, call: Call, checked: BaseModel) -> dict[str, object]:
        """Return the arguments with absolute paths.

        Raises:
            InvalidArgument: a string is not valid text, or a path is relative to no known folder.
        """
        values: dict[str, object] = {}
        for name, field in type(checked).model_fields.items():
            value = getattr(checked, name)
            if is_path(field.metadata):
                values[name] = await resolved(value, field.metadata, call.folders)
            elif isinstance(value, str) and not is_text(value):
                raise InvalidArgument(f"{name} must be text, without NUL or unpaired surrogates.")
            else:
                values[name] = value
        return values

    def _defaulted(self, call: Call, arguments: Mapping[str, Any]) -> dict[str, object]:
        """Return the arguments, with the caller's defaults for optional ones that are missing."""
        given = dict(arguments)
        for name, value in call.defaults.items():
            known = self.arguments.model_fields.get(name)
            if known is None or known.is_required() or known.default is not None:
                continue
            if given.get(name) is None and given.get(to_camel(name)) is None:
                given.pop(to_camel(name), None)
                given[name] = value
        return given


def _hide_data_directory(call: Call, error: AllmaError) -> None:
    """Have an error not tell users where the index is stored."""
    if Right.ADMIN not in call.principal.rights:
        where = shown(str(call.engine.config.data_dir))
        error.message = error.message.replace(where, "the data directory")
        error.hint = error.hint and error.hint.replace(where, "the data directory")


@cache
def _arguments(name: str, run: Callable[..., Awaitable[Any]]) -> type[BaseModel]:
    parameters = list(inspect.signature(run, eval_str=True).parameters.values())[1:]
    fields: dict[str, Any] = {
        p.name: (p.annotation, ... if p.default is inspect.Parameter.empty else p.default)
        for p in parameters
    }
    title = re.sub(r"\W+", " ", name).title().replace(" ", "") + "Arguments"
    config = ConfigDict(
        extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )
    return create_model(title, __config__=config, **fields)


def _sentence(operation: Operation, exc: ValidationError) -> str:
    first = exc.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the arguments"
    known = ", ".join(operation.arguments.model_fields) or "none"
    if first["type"] == "extra_forbidden":
        return f"{operation.name} has no argument {where!r}; it takes: {known}."
    if first["type"] == "missing":
        return f"{operation.name} needs the argument {where!r}; it takes: {known}."
    field = operation.arguments.model_fields.get(to_snake(where.split(".")[0]))
    return f"{where} {requirement(first, field)}."


def jsonable(value: Any, *, camel: bool = False) -> Any:
    """Return a result as JSON data; `camel` gives its fields the camelCase names of LSP."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            to_camel(f.name) if camel else f.name: jsonable(getattr(value, f.name), camel=camel)
            for f in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        mapping = cast(Mapping[Any, Any], value)
        return {str(k): jsonable(v, camel=camel) for k, v in mapping.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v, camel=camel) for v in cast(Sequence[Any], value)]
    if isinstance(value, str):
        return shown(value)
    return value
