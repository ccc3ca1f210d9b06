"""What travels between client and server, as plain descriptions: records and their fields."""

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
    """A member of a record; `hint` is a Python type, `may_lack` whether it can be left out."""

    name: str
    hint: object
    about: str = ""
    may_lack: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """An object with named members."""

    name: str
    fields: list[Field]
    about: str = ""


def words() -> dict[str, object]:
    """The named sets of words, such as the states of a document."""
    return {
        name: value
        for name, value in vars(types).items()
        if typing.get_origin(value) is typing.Literal
    }


def results() -> list[Record]:
    """What operations return and are made of, in the order of `types`."""
    found: list[type] = []
    for operation in OPERATIONS:
        _reach(returned(operation), found)
    for kind in stream.KINDS:
        _reach(kind, found)
    ordered = [kind for kind in vars(types).values() if kind in found]
    return [_record(kind) for kind in [*ordered, *(k for k in found if k not in ordered)]]


def arguments() -> list[Record]:
    """What operations are given: a record for each, `models.pull` giving `ModelsPullParams`."""
    return [
        Record(
            params_name(operation),
            [
                Field(
                    to_camel(name),
                    _without_none(info.annotation),
                    info.description or "",
                    may_lack=not info.is_required(),
                )
                for name, info in operation.arguments.model_fields.items()
            ],
            operation.summary,
        )
        for operation in OPERATIONS
    ]


def params_name(operation: Operation) -> str:
    """`models.pull` takes `ModelsPullParams`."""
    return to_pascal(operation.name.replace(".", "_")) + "Params"


def returned(operation: Operation) -> object:
    """The type of an operation's result."""
    return typing.get_type_hints(operation.run)["return"]


def parts(hint: object) -> tuple[object, ...]:
    """The members of a union; the type itself when it is none."""
    if typing.get_origin(hint) is typing.Annotated:
        return parts(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, UnionType):
        return typing.get_args(hint)
    return (hint,)


def _without_none(hint: object) -> object:
    kept = [part for part in parts(hint) if part is not type(None)]
    return typing.Union[tuple(kept)]  # noqa: UP007 (the parts are only known here)


def _record(kind: type) -> Record:
    hints = typing.get_type_hints(kind)
    about = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    fields = [Field(to_camel(f.name), hints[f.name]) for f in dataclasses.fields(kind)]
    return Record(kind.__name__, fields, about)


def _reach(hint: object, found: list[type]) -> None:
    for kind in _dataclasses(hint):
        if kind not in found:
            found.append(kind)
            for inner in typing.get_type_hints(kind).values():
                _reach(inner, found)


def _dataclasses(hint: object) -> Iterator[type]:
    for part in typing.get_args(hint):
        yield from _dataclasses(part)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
