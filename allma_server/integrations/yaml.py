"""Edit YAML in place, limited to what clients write: block mappings.

ruamel.yaml keeps comments but rewrites the whole file, which changes the user's indentation,
spacing, line endings, `~` and escapes.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import yaml

from allma_server.integrations.text import Edit, Unreadable, apply, line_ending

_Node: TypeAlias = Any  # of PyYAML, which has no types of its own


def load(text: str) -> dict[str, object]:
    """Parse a file.

    Raises:
        Unreadable: the text is not YAML, or not a mapping.
    """
    try:
        value: object = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise Unreadable(f"it is not valid YAML: {' '.join(str(exc).split())}") from exc
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable("it is not a YAML mapping")
    return cast("dict[str, object]", value)


def set_value(text: str, path: Sequence[str], value: object) -> str:
    """Return the text with `value` at `path`, creating missing mappings.

    Raises:
        Unreadable: as `load`, or a value on the path is not a block mapping.
    """
    root = _root(text)
    if root is None:
        begun = text if not text or text.endswith("\n") else text + line_ending(text)
        return begun + _block(_nested(path, value), "", text, len(path))
    node = root
    for depth, key in enumerate(path):
        found = _pair(node, key)
        if found is None:
            # Insert at the start of the mapping, because its end is harder to determine.
            first = node.value[0][0].start_mark
            line = first.index - first.column
            rest = path[depth:]
            new = _block(_nested(rest, value), " " * first.column, text, len(rest))
            return apply(text, [Edit(line, line, new)])
        name, below = found
        if depth == len(path) - 1:
            return apply(text, [Edit(name.end_mark.index, _end(below), f": {json.dumps(value)}")])
        if not _is_block(below):
            if below.value:
                raise Unreadable(f"{key!r} is not a block mapping (over several lines)")
            indent = " " * (name.start_mark.column + 2)
            rest = path[depth + 1 :]
            block = _block(_nested(rest, value), indent, text, len(rest)).rstrip()
            new = f":{line_ending(text)}{block}"
            return apply(text, [Edit(name.end_mark.index, below.end_mark.index, new)])
        node = below
    return text


def remove_value(text: str, path: Sequence[str]) -> str:
    """Return the text without the value at `path`.

    Raises:
        Unreadable: as `load`.
    """
    node = _root(text)
    above = None
    for depth, key in enumerate(path):
        found = _pair(node, key) if node is not None else None
        if node is None or found is None:
            return text
        name, below = found
        if depth == len(path) - 1:
            if len(node.value) == 1 and above is not None:
                return apply(text, [Edit(above.end_mark.index, _end(below), ": {}")])
            start = name.start_mark.index - name.start_mark.column
            newline = text.find("\n", _end(below))
            return apply(text, [Edit(start, newline + 1 or len(text), "")])
        above, node = name, below if _is_block(below) else None
    return text


def _root(text: str) -> _Node | None:
    load(text)
    node = cast(_Node, yaml.compose(text, yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]
    if node is None:
        return None
    if not _is_block(node):
        if node.value:
            raise Unreadable("it is not a block mapping (over several lines)")
        raise Unreadable("its mapping is empty")
    return node


def _is_block(node: _Node) -> bool:
    return node.id == "mapping" and not node.flow_style


def _pair(node: _Node, key: str) -> tuple[_Node, _Node] | None:
    return next(((k, v) for k, v in node.value if k.value == key), None)


def _end(node: _Node) -> int:
    """Return where a node's own text ends; the end mark of a block is after the blank lines."""
    if node.id == "scalar" or getattr(node, "flow_style", False) or not node.value:
        return node.end_mark.index
    last: _Node = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _nested(path: Sequence[str], value: object) -> Mapping[str, object]:
    for key in reversed(path):
        value = {key: value}
    return cast("Mapping[str, object]", value)


def _block(value: Mapping[str, object], indent: str, text: str, levels: int) -> str:
    """Format a block mapping; deeper than `levels`, values are JSON, which is valid YAML."""
    lines = ""
    for key, each in value.items():
        if levels and isinstance(each, dict) and each:
            inner = _block(cast("Mapping[str, object]", each), indent + "  ", text, levels - 1)
            lines += f"{indent}{key}:{line_ending(text)}{inner}"
        else:
            lines += f"{indent}{key}: {json.dumps(each, ensure_ascii=False)}{line_ending(text)}"
    return lines
