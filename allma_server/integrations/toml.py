"""Edit TOML in place."""

from collections.abc import MutableMapping, Sequence
from typing import Any, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError

from allma_server.integrations.text import Unreadable


def load(text: str) -> dict[str, object]:
    """Parse a file.

    Raises:
        Unreadable: the text is not TOML.
    """
    return _parse(text).unwrap()


def set_value(text: str, path: Sequence[str], value: object) -> str:
    """Return the text with `value` at `path`, creating missing tables.

    Raises:
        Unreadable: as `load`, or a value on the path is not a table.
    """
    document = _parse(text)
    table = cast("MutableMapping[str, Any]", document)
    for key in path[:-1]:
        if key not in table:
            table[key] = tomlkit.table(is_super_table=True)
        if not isinstance(table[key], MutableMapping):
            raise Unreadable(f"{key!r} is not a table")
        table = cast("MutableMapping[str, Any]", table[key])
    table[path[-1]] = _item(value)
    return tomlkit.dumps(document)


def remove_value(text: str, path: Sequence[str]) -> str:
    """Return the text without the value at `path`.

    Raises:
        Unreadable: as `load`.
    """
    document = _parse(text)
    table = cast("MutableMapping[str, Any]", document)
    for key in path[:-1]:
        if not isinstance(table.get(key), MutableMapping):
            return text
        table = table[key]
    if path[-1] not in table:
        return text
    del table[path[-1]]
    return tomlkit.dumps(document)


def _parse(text: str) -> Any:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as exc:
        raise Unreadable(f"it is not valid TOML: {exc}") from exc


def _item(value: object) -> Any:
    """Return a value for tomlkit, with tables inside an entry on one line."""
    if not isinstance(value, dict):
        return cast("Any", tomlkit.item(cast("Any", value)))
    table = tomlkit.table()
    for key, each in cast("dict[str, object]", value).items():
        if isinstance(each, dict):
            table[key] = tomlkit.inline_table()
            for name, variable in cast("dict[str, str]", each).items():
                table[key][name] = variable
        else:
            table[key] = each
    return table
