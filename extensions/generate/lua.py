"""The Neovim client's generated Lua: annotations of what travels, and its tables."""

import dataclasses
import re
import typing
from collections.abc import Mapping, Sequence

from extensions.generate import neovim
from extensions.generate.shapes import Field, Record, arguments, parts, results

WIDTH = 100
NAMES = {str: "string", int: "integer", float: "number", bool: "boolean"}

TYPES_HEAD = """\
---@meta
-- What travels between Neovim and the server.
-- Written by `python -m extensions.generate` from the server's operations and its model.
"""
REFERENCE_HEAD = """\
--- What can be typed, pressed and set, as data: behind the commands, the checks and the help.
-- Written by `python -m extensions.generate`, which has it from extensions/generate/neovim.py and
-- from the server's settings.

---@class allma.Setting
---@field name string
---@field type string[] Lua types it may have.
---@field default any
---@field values? string[] The only strings it may be.
---@field least? integer
---@field most? integer
---@field of_server? boolean Handed to the server.

"""


def types() -> str:
    """`types.lua`: the records, for the Lua language server."""
    return TYPES_HEAD + "".join(_class(record) for record in [*results(), *arguments()])


def _class(record: Record) -> str:
    lines = [f"---@class allma.{record.name}", *map(_member, record.fields)]
    return "\n" + "\n".join(lines) + "\n"


def _member(field: Field) -> str:
    members = [part for part in parts(field.hint) if part is not type(None)]
    may_lack = field.may_lack or len(members) < len(parts(field.hint))
    hint = "|".join(_type(member) for member in members)
    about = f" {field.about}" if field.about else ""
    return f"---@field {field.name}{'?' if may_lack else ''} {hint}{about}"


def _type(hint: object) -> str:
    """A Python type in the language of LuaCATS."""
    members = parts(hint)
    if len(members) != 1:
        return "|".join(_type(member) for member in members)
    only = members[0]
    origin, inner = typing.get_origin(only), typing.get_args(only)
    if origin is typing.Literal:
        return "|".join(f'"{word}"' for word in inner)
    if origin in (list, tuple):
        item = _type(inner[0])
        return f"({item})[]" if "|" in item else f"{item}[]"
    if origin is dict:
        return f"table<{_type(inner[0])}, {_type(inner[1])}>"
    if isinstance(only, type) and dataclasses.is_dataclass(only):
        return f"allma.{only.__name__}"
    return NAMES[typing.cast(type, only)]


def reference() -> str:
    """`reference.lua`: commands, options, keys and settings as tables."""
    config = [f"---@field {s.name} {s.annotation}" for s in neovim.SETTINGS]
    # A nilable type is told by its name, as the language server wants it.
    config = [re.sub(r"^(---@field \w+) (\w+)\?$", r"\1? \2", line) for line in config]
    tables = {
        "commands": [_fields(command) for command in neovim.COMMANDS],
        "options": [_fields(option) for option in neovim.OPTIONS],
        "keys": [_fields(key) for key in neovim.KEYS],
        "settings": [_setting(setting) for setting in neovim.SETTINGS],
    }
    body = "\n\n".join(_table(name, rows) for name, rows in tables.items())
    classes = "\n".join(["---@class allma.Config", *config])
    return f"{REFERENCE_HEAD}{classes}\n\nlocal M = {{}}\n\n{body}\n\nreturn M\n"


def _fields(row: neovim.Command | neovim.Option | neovim.Key) -> dict[str, object]:
    values = {field.name: getattr(row, field.name) for field in dataclasses.fields(row)}
    return {name: value for name, value in values.items() if value not in (None, False)}


def _setting(setting: neovim.Setting) -> dict[str, object]:
    row: dict[str, object] = {"name": setting.name, "type": list(setting.types)}
    row |= {"default": setting.default, "values": list(setting.values) or None}
    row |= {"least": setting.least, "most": setting.most, "of_server": setting.of_server or None}
    return {name: value for name, value in row.items() if value is not None}


def _table(name: str, rows: Sequence[Mapping[str, object]]) -> str:
    kind = "---@type allma.Setting[]\n" if name == "settings" else ""
    lines = "".join(f"  {_row(row)},\n" for row in rows)
    return f"{kind}M.{name} = {{\n{lines}}}"


def _row(row: Mapping[str, object]) -> str:
    line = literal(row)
    if len(line) + 3 <= WIDTH:
        return line
    return f"{{\n{''.join(_member_line(name, value) for name, value in row.items())}  }}"


def _member_line(name: str, value: object) -> str:
    line = f"    {name} = {literal(value)},\n"
    if len(line) <= WIDTH or not isinstance(value, Mapping):
        return line
    members = typing.cast(Mapping[str, object], value).items()
    lines = "".join(f"      {key} = {literal(member)},\n" for key, member in members)
    return f"    {name} = {{\n{lines}    }},\n"


def literal(value: object) -> str:
    """A value as Lua writes it, on one line."""
    match value:
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case str():
            quote = "'" if '"' in value and "'" not in value else '"'
            return quote + value.replace("\\", "\\\\").replace(quote, f"\\{quote}") + quote
        case int() | float():
            return str(value)
        case Mapping():
            members = typing.cast(Mapping[str, object], value).items()
            return _braced(f"{name} = {literal(member)}" for name, member in members)
        case Sequence():
            return _braced(literal(member) for member in typing.cast(Sequence[object], value))
        case _:
            raise TypeError(f"Lua has no {type(value).__name__}")


def _braced(members: typing.Iterable[str]) -> str:
    inside = ", ".join(members)
    return f"{{ {inside} }}" if inside else "{}"
