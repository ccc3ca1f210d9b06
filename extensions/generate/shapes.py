"""The values of the protocol, described as records and fields for the generators."""

import dataclasses
import inspect
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType

from pydantic.alias_generators import to_camel, to_pascal

from allma_server import types
from allma_server.operations import OPERATIONS, Operation
from allma_server.protocols.lsp import stream


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record. `hint`: its Python type; `optional`: whether it may be omitted."""

    name: str
    hint: object
    description: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """An object with named fields."""

    name: str
    fields: list[Field]
    description: str = ""


def literals() -> dict[str, object]:
    """Return the named literal types, such as the states of a document."""
    return {
        name: value
        for name, value in ((name, getattr(types, name)) for name in types.__all__)
        if typing.get_origin(value) is typing.Literal
    }


def results() -> list[Record]:
    """Return the records that operations return, with nested ones, in the order of `types`."""
    found: list[type] = []
    for operation in OPERATIONS:
        _collect(result_type(operation), found)
    for kind in stream.KINDS:
        _collect(kind, found)
    ordered = [kind for name in types.__all__ if (kind := getattr(types, name)) in found]
    return [_record(kind) for kind in [*ordered, *(k for k in found if k not in ordered)]]


def arguments() -> list[Record]:
    """Return the parameters of each operation as a record, such as `ModelsPullParams`."""
    return [
        Record(
            params_name(operation),
            [
                Field(
                    to_camel(name),
                    _without_none(info.annotation),
                    info.description or "",
                    optional=not info.is_required(),
                )
                for name, info in operation.arguments.model_fields.items()
            ],
            operation.summary,
        )
        for operation in OPERATIONS
    ]


def params_name(operation: Operation) -> str:
    """Return the name of an operation's parameters: `ModelsPullParams` for `models.pull`."""
    return to_pascal(operation.name.replace(".", "_")) + "Params"


def result_type(operation: Operation) -> object:
    """Return the type of an operation's result."""
    return typing.get_type_hints(operation.run)["return"]


def parts(hint: object) -> tuple[object, ...]:
    """Return the members of a union, or the type itself."""
    if typing.get_origin(hint) is typing.Annotated:
        return parts(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, UnionType):
        return typing.get_args(hint)
    return (hint,)


def _without_none(hint: object) -> object:
    members = [part for part in parts(hint) if part is not type(None)]
    return typing.Union[tuple(members)]  # noqa: UP007 (the members are only known at run time)


def _record(kind: type) -> Record:
    hints = typing.get_type_hints(kind)
    description = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    fields = [Field(to_camel(f.name), hints[f.name]) for f in dataclasses.fields(kind)]
    return Record(kind.__name__, fields, description)


def _collect(hint: object, found: list[type]) -> None:
    for kind in _dataclasses(hint):
        if kind not in found:
            found.append(kind)
            for inner in typing.get_type_hints(kind).values():
                _collect(inner, found)


def _dataclasses(hint: object) -> Iterator[type]:
    for part in typing.get_args(hint):
        yield from _dataclasses(part)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
