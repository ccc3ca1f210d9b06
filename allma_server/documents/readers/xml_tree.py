"""Parse an XML file to a tree of elements, texts and comments with their line numbers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.entities import html5
from xml.parsers import expat

from allma_server.documents.builder import split_lines

_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31};)")
_PREDEFINED = frozenset({"amp;", "lt;", "gt;", "quot;", "apos;"})
_MAX_ENTITY = 1_000
_MAX_EXPANDED = 1_000_000
"""Characters that the entities of a file may expand to in all."""


class NotWellFormed(Exception):
    """The file is not well-formed XML; the message says where and why."""


@dataclass(slots=True)
class Text:
    """Characters between tags, or a comment, beginning at `line`."""

    line: int
    pieces: list[str] = field(default_factory=list[str])
    comment: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(slots=True)
class Node:
    """An element: its name as written, its attributes in order, the line of its start tag."""

    name: str
    attributes: dict[str, str]
    line: int
    parts: "list[Node | Text]" = field(default_factory=list["Node | Text"])
    is_leaf: bool = True
    is_mixed: bool = False

    @property
    def local(self) -> str:
        """The name without the namespace prefix."""
        return self.name.rpartition(":")[2]

    def nodes(self) -> "Iterator[Node]":
        return (part for part in self.parts if isinstance(part, Node))

    def child(self, *names: str) -> "Node | None":
        """Return the first child element with one of these local names."""
        return next((node for node in self.nodes() if node.local in names), None)


def text_lines(node: Node, separated: frozenset[str] = frozenset()) -> list[tuple[str, int]]:
    """Return all text in an element as lines; elements in `separated` get spaces around them."""
    pieces: list[tuple[str, int]] = []
    pending: list[Node | Text | str] = [node]
    line = node.line
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            pieces.append((part, line))
        elif isinstance(part, Node):
            line = part.line
            apart = [" "] if part.local in separated else []
            pending += [*apart, *reversed(part.parts), *apart]
        elif not part.comment:
            line = part.line
            pieces.append((part.text, line))
    return split_lines(pieces)


def parse_xml(text: str) -> Node:
    """Return the root element of `text`.

    Raises:
        NotWellFormed: with the line and the reason.
    """
    body = text.lstrip()
    before = text.count("\n", 0, len(text) - len(body))
    try:
        return _Builder(before).parse(body)
    except expat.ExpatError as exc:
        if expat.ErrorString(exc.code) != expat.errors.XML_ERROR_UNDEFINED_ENTITY:
            raise _not_well_formed(exc, before) from exc
    try:
        return _Builder(before).parse(_NAMED.sub(_expand_named, body))
    except expat.ExpatError as exc:
        raise _not_well_formed(exc, before) from exc


def _not_well_formed(exc: expat.ExpatError, before: int) -> NotWellFormed:
    reason = expat.ErrorString(exc.code)
    return NotWellFormed(
        f"It is not well-formed XML (line {exc.lineno + before}: {reason}), and read as plain text."
    )


def _expand_named(match: re.Match[str]) -> str:
    name = match[1]
    return match[0] if name in _PREDEFINED else html5.get(name, f"&amp;{name}")


class _Builder:
    """Builds the tree from expat's events.

    With a default handler and without one for external entities, expat neither expands entities in
    text nor opens anything. It expands entities in attributes, so entities that could grow are
    refused. The others, such as a product's name, are expanded here within a limit.
    """

    def __init__(self, lines_before: int) -> None:
        self._before = lines_before
        self._root: Node | None = None
        self._open: list[Node] = []
        self._entities: dict[str, str] = {}
        self._expanded = 0
        self._prolog: list[Node | Text] = []
        parser = self._parser = expat.ParserCreate("utf-8")
        parser.ordered_attributes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.CommentHandler = self._comment
        parser.EntityDeclHandler = self._entity
        parser.DefaultHandler = self._other

    def parse(self, text: str) -> Node:
        self._parser.Parse(text.encode("utf-8", "replace"), True)
        if self._root is None:
            raise NotWellFormed("It has no element, and is read as plain text.")
        return self._root

    @property
    def _line(self) -> int:
        return self._parser.CurrentLineNumber + self._before

    def _start(self, name: str, attributes: list[str]) -> None:
        pairs = zip(attributes[::2], attributes[1::2], strict=True)
        shown = {key: value for key, value in pairs if key.partition(":")[0] != "xmlns"}
        node = Node(name, shown, self._line)
        if self._open:
            self._open[-1].parts.append(node)
            self._open[-1].is_leaf = False
        else:
            self._root = node
            node.parts += self._prolog
        self._open.append(node)

    def _end(self, name: str) -> None:
        node = self._open.pop()
        if not node.is_leaf:
            node.is_mixed = any(
                isinstance(part, Text) and not part.comment and part.text.strip()
                for part in node.parts
            )

    def _characters(self, data: str) -> None:
        parts = self._open[-1].parts
        if parts and isinstance(parts[-1], Text) and not parts[-1].comment:
            parts[-1].pieces.append(data)
        else:
            parts.append(Text(self._line, [data]))

    def _comment(self, data: str) -> None:
        parts = self._open[-1].parts if self._open else self._prolog
        parts.append(Text(self._line, [data], comment=True))

    def _entity(self, name: str, parameter: int, value: str | None, *_: object) -> None:
        if value is not None and ("&" in value or len(value) > _MAX_ENTITY):
            raise NotWellFormed(
                f"Its entity {name[:40]!r} grows when it is expanded, so it is read as plain text."
            )
        if value is not None and not parameter:
            self._entities[name] = value

    def _other(self, data: str) -> None:
        if self._open and data.startswith("&"):
            value = self._entities.get(data[1:-1], data)
            self._expanded += len(value)
            self._characters(value if self._expanded <= _MAX_EXPANDED else data)
