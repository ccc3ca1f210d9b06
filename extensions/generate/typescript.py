"""`protocol.ts`: one request per operation, and the values that travel."""

import dataclasses
import re
import typing
from textwrap import wrap

from pydantic.alias_generators import to_camel

from allma_server.operations import OPERATIONS, Operation
from allma_server.protocols.lsp import stream
from allma_server.protocols.settings import SETTINGS
from extensions.generate.shapes import (
    Field,
    Record,
    arguments,
    params_name,
    parts,
    results,
    returned,
    words,
)

WIDTH = 100
RESERVED = {"delete", "eval", "export", "import"}
NAMES = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}

HEAD = """\
/**
 * What the server understands: one request per operation, and the values that travel.
 * Written by `python -m extensions.generate` from the server's operations and its model.
 */
import { ProgressType, RequestType } from "vscode-languageclient/node";

/** The `data` of a JSON-RPC error for a failure the server foresees. */
export interface Failure {
  code: string;
  message: string;
  hint: string | null;
}
"""
TAIL = """
/** Tokens under which the client hears of a request's progress. */
interface Tokens {
  workDoneToken?: string;
  partialResultToken?: string;
}

const request = <N extends keyof Operations>(name: N) =>
  new RequestType<Operations[N][0] & Tokens, Operations[N][1], Failure>(`allma/${name}`);
"""


def protocol() -> str:
    """The whole file."""
    records = "".join(_interface(record) for record in [*results(), *arguments()])
    sections = [
        HEAD,
        *(
            f"\nexport type {name} = {_type(hint, named=False)};\n"
            for name, hint in words().items()
            if re.search(rf": [^;\n]*\b{name}\b[^;\n]*;\n", records)
        ),
        records,
        _settings(),
        _progress(),
        _operations(),
        TAIL,
        "\n",
        *(f'export const {_constant(o)} = request("{o.name}");\n' for o in OPERATIONS),
    ]
    return "".join(sections)


def _interface(record: Record) -> str:
    if not record.fields:
        # An interface without members would take anything.
        return f"\n{_comment(record.about)}export type {record.name} = Record<string, never>;\n"
    lines = "".join(f"{_comment(f.about, '  ')}  {_member(f)}\n" for f in record.fields)
    return f"\n{_comment(record.about)}export interface {record.name} {{\n{lines}}}\n"


def _member(field: Field) -> str:
    return f"{field.name}{'?' if field.may_lack else ''}: {_type(field.hint)};"


def _settings() -> str:
    names = "".join(f'  "{to_camel(s.name)}",\n' for s in SETTINGS if not s.technical)
    return (
        f"\n/** Settings that are the server's, below the section `allma`. */\n"
        f"export const SERVER_SETTINGS = [\n{names}] as const;\n"
    )


def _progress() -> str:
    kinds = " | ".join(kind.__name__ for kind in stream.KINDS)
    return (
        f"\n/** What comes over `partialResultToken` while an answer is written. */\n"
        f"export type AskProgress = {kinds};\n"
        f"\nexport const askProgress = new ProgressType<AskProgress>();\n"
    )


def _operations() -> str:
    lines = "".join(f"  {_key(o)}: [{params_name(o)}, {_type(returned(o))}];\n" for o in OPERATIONS)
    return (
        f"\n/** Every operation: what it is given, and what comes back. */\n"
        f"export interface Operations {{\n{lines}}}\n"
    )


def _key(operation: Operation) -> str:
    return f'"{operation.name}"' if "." in operation.name else operation.name


def _constant(operation: Operation) -> str:
    name = to_camel(operation.name.replace(".", "_"))
    return f"{name}Operation" if name in RESERVED else name


def _comment(text: str, indent: str = "") -> str:
    if not text:
        return ""
    text = text.replace("*/", "*\\/")  # as in the glob src/**/*.py
    if len(indent) + len(text) + 7 <= WIDTH:
        return f"{indent}/** {text} */\n"
    lines = wrap(text, WIDTH - len(indent) - 3)
    return f"{indent}/**\n" + "".join(f"{indent} * {line}\n" for line in lines) + f"{indent} */\n"


def _type(hint: object, *, named: bool = True) -> str:
    """A Python type in TypeScript."""
    members = parts(hint)
    if len(members) != 1:
        return " | ".join(dict.fromkeys(_type(member) for member in members))
    only = members[0]
    if named and (name := _named(only)):
        return name
    origin, inner = typing.get_origin(only), typing.get_args(only)
    if origin is typing.Literal:
        return " | ".join(f'"{word}"' for word in inner)
    if origin in (list, tuple):
        item = _type(inner[0])
        return f"({item})[]" if " | " in item else f"{item}[]"
    if origin is dict:
        return f"Record<{_type(inner[0])}, {_type(inner[1])}>"
    if isinstance(only, type) and dataclasses.is_dataclass(only):
        return only.__name__
    return NAMES[typing.cast(type, only)]


def _named(hint: object) -> str | None:
    return next((name for name, value in words().items() if value == hint), None)
