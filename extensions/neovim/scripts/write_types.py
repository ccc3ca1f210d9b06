"""Writes lua/allma/types.lua: what travels, as annotations for the Lua language server.

python scripts/write_types.py            writes the file
python scripts/write_types.py --check    ends with 1 when it is not up to date
"""

import dataclasses
import sys
import types
import typing
from pathlib import Path

from pydantic.alias_generators import to_camel

from allma_server import model
from allma_server.operations import OPERATIONS

TARGET = Path(__file__).parents[1] / "lua" / "allma" / "types.lua"
HEAD = """\
---@meta
-- What travels between Neovim and the server.
-- Written by scripts/write_types.py from the server's model.
"""
LUA = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "nil"}


def lua_type(hint: object) -> str:
    """A Python annotation in the language of LuaCATS."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return lua_type(arguments[0])
    if origin is typing.Literal:
        return "|".join(f'"{value}"' for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return "|".join(lua_type(part) for part in arguments)
    if origin in (list, tuple):
        part = lua_type(arguments[0])
        return f"({part})[]" if "|" in part else f"{part}[]"
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return f"allma.{hint.__name__}"
    return LUA[typing.cast(type, hint)]


def reached(hint: object, found: list[type]) -> None:
    """Adds the dataclasses that a type is made of."""
    for part in typing.get_args(hint):
        reached(part, found)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint not in found:
        found.append(hint)
        for inner in typing.get_type_hints(hint).values():
            reached(inner, found)


def annotated(kind: type) -> str:
    """One class."""
    hints = typing.get_type_hints(kind)
    lines = ["", f"---@class allma.{kind.__name__}"]
    for field in dataclasses.fields(kind):
        hint = lua_type(hints[field.name])
        optional = "?" if hint.endswith("|nil") else ""
        lines.append(f"---@field {to_camel(field.name)}{optional} {hint.removesuffix('|nil')}")
    return "\n".join(lines)


def text() -> str:
    """The whole file."""
    found: list[type] = []
    for operation in OPERATIONS:
        reached(typing.get_type_hints(operation.run)["return"], found)
    ordered = [kind for kind in vars(model).values() if kind in found]
    extra = [kind for kind in found if kind not in ordered]
    return HEAD + "\n".join(annotated(kind) for kind in [*ordered, *extra]) + "\n"


def main() -> int:
    """The program; its exit status."""
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text(), "utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text("utf-8") == text():
        return 0
    sys.stderr.write(f"{TARGET} is not up to date: run scripts/write_types.py\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
