"""The view of results that have none of their own: their fields, and a table for each list."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

from allma_server._internal.path_text import readable
from allma_server.cli.output import Text
from allma_server.cli.page import Page, View, shorten
from allma_server.cli.views.searching import passages
from allma_server.types import Passage

LONGEST_CELL = 60
"""Columns of a table's cell; a longer text is cut."""

_PATHS = {"path", "file", "data_dir"}
_BESIDE = {"notice", "notice_code", "next_cursor"}
"""Fields that commands tell beside the result."""


def record(result: object, page: Page) -> View:
    """Any result: a sentence, a list, or an object with its fields."""
    members = _members(result)
    if rows := _rows(result):
        yield from _table(rows, page)
        return
    if members is None:
        yield Text("none" if result is None or rows is not None else str(result))
        return
    parts = {n: v for n, v in members.items() if _rows(v) is not None or _members(v) is not None}
    facts = [(n, v) for n, v in members.items() if n not in parts]
    yield from page.facts(*((_label(n), _cell(n, v, members, page)) for n, v in facts))
    for name, value in parts.items():
        if value:
            yield Text(_label(name), "bold")
            for item in record(value, page):
                yield Text("  ") + item if isinstance(item, Text) else item


def _table(rows: Sequence[object], page: Page) -> View:
    """Render a row for each object of a list, a line for each other value."""
    found = [row for row in rows if isinstance(row, Passage)]
    if len(found) == len(rows):
        yield from passages(found, page)
        return
    named = [members for row in rows if (members := _members(row)) is not None]
    if len(named) != len(rows):
        yield from (Text(readable(str(row))) for row in rows)
        return
    used = {name for row in named for name, value in row.items() if value not in (None, [], "")}
    # A path is last, so that its length does not matter.
    names = sorted((n for n in named[0] if n in used), key=_PATHS.__contains__)
    cells = [[_short(name, row.get(name), row, page) for name in names] for row in named]
    yield from page.columns([[Text(_label(name), "dim") for name in names], *cells])


def _rows(value: object) -> Sequence[object] | None:
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else None


def _members(value: object) -> Mapping[str, Any] | None:
    """Return the fields of an object; None for a value that has none."""
    if is_dataclass(value) and not isinstance(value, type):
        all_fields = {field.name: getattr(value, field.name) for field in fields(value)}
        return {name: each for name, each in all_fields.items() if name not in _BESIDE}
    if isinstance(value, Mapping):
        return {str(name): each for name, each in cast("Mapping[Any, Any]", value).items()}
    return None


def _label(name: str) -> str:
    return readable(name).replace("_", " ")


def _cell(name: str, value: Any, row: Mapping[str, Any], page: Page) -> Text | None:
    """Return a value as shown beside its label; None if there is none."""
    match value:
        case None | "":
            return None
        case bool():
            return Text("yes" if value else "no")
        case int():
            return Text(f"{value:,}" if not name.endswith("id") else str(value))
        case float():
            return Text(f"{value:.3g}")
        case str() if name in _PATHS:
            line = row.get("start_line")
            return page.location(value, line if isinstance(line, int) else None, "")
        case _:
            return Text(str(value))


def _short(name: str, value: Any, row: Mapping[str, Any], page: Page) -> Text:
    if (parts := _rows(value)) is not None:
        value = " › ".join(map(str, parts))
    cell = _cell(name, value, row, page) or Text()
    return cell if name in _PATHS else Text(shorten(cell.plain, LONGEST_CELL) if cell else "")
