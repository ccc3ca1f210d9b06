"""Edit JSON with comments in place: everything else in the file stays as it is.

The file is parsed with the grammar of JavaScript, whose expressions include JSON, because its nodes
have offsets. No library found edits such files in place without Node.js.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from tree_sitter import Language, Parser

from allma_server.documents.grammars import load_grammar
from allma_server.integrations.text import Edit, Unreadable, apply, indentation, line_ending

if TYPE_CHECKING:
    from tree_sitter import Node


def load(text: str) -> dict[str, object]:
    """Parse a file.

    Raises:
        Unreadable: the text is not JSON with comments, or not an object.
    """
    return cast("dict[str, object]", _value(_root(text))) if text.strip() else {}


def set_value(text: str, path: Sequence[str], value: object) -> str:
    """Return the text with `value` at `path`, creating missing objects.

    Raises:
        Unreadable: as `load`, or a value on the path is not an object.
    """
    if not text.strip():
        text = "{}\n"
    root = node = _root(text)
    for depth, key in enumerate(path):
        if node.type != "object":
            raise Unreadable(f"{path[depth - 1]!r} is not an object")
        pair = _pair(node, key)
        if pair is None:
            for missing in reversed(path[depth + 1 :]):
                value = {missing: value}
            return apply(text, _insertion(text, root, node, key, value))
        node = _field(pair, "value")
    new = _format(value, _unit(text, root), indentation(text, _span(text, node)[0]), text)
    return apply(text, [Edit(*_span(text, node), new)])


def remove_value(text: str, path: Sequence[str]) -> str:
    """Return the text without the member at `path`, its comma and the comment on its line.

    Raises:
        Unreadable: as `load`.
    """
    if not text.strip():
        return text
    node = _root(text)
    for key in path[:-1]:
        pair = _pair(node, key)
        if pair is None:
            return text
        node = _field(pair, "value")
    pair = _pair(node, path[-1])
    return text if pair is None else apply(text, _removal(text, node, pair))


def _root(text: str) -> "Node":
    # Without parentheses, JavaScript would parse a block of statements.
    tree = Parser(Language(load_grammar("javascript"))).parse(f"({text}\n)".encode())
    if tree.root_node.has_error:
        raise Unreadable("it is not valid JSON")
    inner = _children(tree.root_node)
    for kind in ("expression_statement", "parenthesized_expression", "object"):
        if len(inner) != 1 or inner[0].type != kind:
            raise Unreadable("it is not a JSON object")
        found, inner = inner[0], _children(inner[0])
    _value(found)  # pyright: ignore[reportPossiblyUnboundVariable] - the loop has run
    return found  # pyright: ignore[reportPossiblyUnboundVariable]


def _children(node: "Node") -> list["Node"]:
    return [child for child in node.named_children if child.type != "comment"]


def _field(node: "Node", name: str) -> "Node":
    found = node.child_by_field_name(name)
    if found is None:
        raise Unreadable(f"a {node.type} has no {name}")
    return found


def _value(node: "Node") -> object:
    if node.type == "object":
        return {_key(pair): _value(_field(pair, "value")) for pair in _children(node)}
    if node.type == "array":
        return [_value(child) for child in _children(node)]
    try:
        return json.loads(node.text) if node.text else None
    except ValueError as exc:
        raise Unreadable(f"{node.type} on line {node.start_point.row + 1} is not JSON") from exc


def _key(pair: "Node") -> str:
    if pair.type != "pair":
        raise Unreadable(f"{pair.type} on line {pair.start_point.row + 1} is not JSON")
    key = _value(_field(pair, "key"))
    if not isinstance(key, str):
        raise Unreadable(f"a key on line {pair.start_point.row + 1} is not a string")
    return key


def _pair(node: "Node", key: str) -> "Node | None":
    if node.type != "object":
        return None
    # If a key occurs twice, the last one is effective.
    return next((pair for pair in reversed(_children(node)) if _key(pair) == key), None)


def _span(text: str, node: "Node") -> tuple[int, int]:
    """Return the offsets of a node in characters; the parsed text has one more byte before it."""
    source = text.encode()
    start = len(source[: node.start_byte - 1].decode())
    return start, start + len(source[node.start_byte - 1 : node.end_byte - 1].decode())


def _insertion(text: str, root: "Node", node: "Node", key: str, value: object) -> list[Edit]:
    """Add a pair at the end of an object, formatted like the pairs before it."""
    start, end = _span(text, node)
    pairs = _children(node)
    if pairs and node.start_point.row == node.end_point.row:
        last = _span(text, pairs[-1])[1]
        return [Edit(last, last, f", {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")]
    unit = _unit(text, root)
    indent = indentation(text, _span(text, pairs[-1])[0] if pairs else start)
    indent += "" if pairs else unit
    member = f"{json.dumps(key)}: {_format(value, unit, indent, text)}"
    anchor = max([start + 1, *(_span(text, child)[1] for child in _leading(node, pairs))])
    closing = "" if "\n" in text[anchor:end] else line_ending(text) + indentation(text, start)
    if not pairs:
        return [Edit(anchor, anchor, f"{line_ending(text)}{indent}{member}{closing}")]
    last = _span(text, pairs[-1])[1]
    comma = pairs[-1].next_sibling
    while comma is not None and comma.type == "comment":
        comma = comma.next_sibling
    if comma is not None and comma.type == ",":
        return [Edit(anchor, anchor, f"{line_ending(text)}{indent}{member},{closing}")]
    between = text[last:anchor]
    return [Edit(last, anchor, f",{between}{line_ending(text)}{indent}{member}{closing}")]


def _leading(node: "Node", pairs: Sequence["Node"]) -> list["Node"]:
    """Return the nodes before a new last pair: the last pair, and the comments on its line."""
    if not pairs:
        return [child for child in node.children if child.type == "comment"]
    last = pairs[-1]
    row = last.end_point.row
    after = [c for c in node.children if c.start_byte >= last.end_byte and c.type != "}"]
    return [last, *(c for c in after if c.start_point.row == row or c.type == ",")]


def _removal(text: str, node: "Node", pair: "Node") -> list[Edit]:
    start, end = _span(text, pair)
    after = pair.next_sibling
    while after is not None and (
        after.type == ","
        or (after.type == "comment" and after.start_point.row == pair.end_point.row)
    ):
        end = _span(text, after)[1]
        after = after.next_sibling
    own_comma = "," in [
        c.type for c in node.children if _span(text, pair)[1] <= _span(text, c)[0] < end
    ]
    before = [c for c in node.children if c.type == "," and c.end_byte <= pair.start_byte]
    edits = [Edit(*_span(text, before[-1]), "")] if before and not own_comma else []
    line = text.rfind("\n", 0, start) + 1
    tail = len(text[end:]) - len(text[end:].lstrip(" \t\r"))
    if not text[line:start].strip() and text[end + tail : end + tail + 1] == "\n":
        return [*edits, Edit(line, end + tail + 1, "")]
    if edits and not text[edits[0].end : start].strip():
        return [Edit(edits[0].start, end, "")]
    return [*edits, Edit(start, end, "")]


def _unit(text: str, root: "Node") -> str:
    """Return one level of the file's indentation."""
    pairs = _children(root)
    return (indentation(text, _span(text, pairs[0])[0]) if pairs else "") or "  "


def _format(value: object, unit: str, indent: str, text: str) -> str:
    """Format a value: lists on one line, objects on several lines."""
    if isinstance(value, Mapping) and value:
        named = cast("Mapping[str, object]", value)
        inner = f",{line_ending(text)}".join(
            f"{indent}{unit}{json.dumps(k)}: {_format(v, unit, indent + unit, text)}"
            for k, v in named.items()
        )
        return f"{{{line_ending(text)}{inner}{line_ending(text)}{indent}}}"
    return json.dumps(value, ensure_ascii=False)
