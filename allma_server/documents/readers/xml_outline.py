"""Convert elements of any XML vocabulary to sections, paragraphs, and lines `tag: value`."""

import re
from collections.abc import Iterator
from textwrap import dedent

from allma_server.documents.builder import Outline
from allma_server.documents.readers.xml_tree import Node, Text, text_lines

# Prose in these elements is written without the tag.
_PROSE = frozenset(
    "p para simpara formalpara paragraph line li dt dd listitem item entry cell td th".split()
)
# Elements that only structure prose are not written either.
_UNLABELLED = frozenset(
    "itemizedlist orderedlist variablelist varlistentry listitem info bookinfo articleinfo body "
    "conbody taskbody refbody steps step table informaltable tgroup thead tbody row ul ol li dl "
    "div note tip warning caution important figure mediaobject".split()
)
_VERBATIM = frozenset("programlisting screen literallayout codeblock pre verbatim script".split())
_HEADED = re.compile(
    r"(?:section|sect[1-6]|refsect[1-6]|simplesect|chapter|article|appendix|preface|book|part|"
    r"topic|concept|task|reference|glossary|div[1-6]?|text|body)$"
)
_INFO = ("info", "bookinfo", "articleinfo", "chapterinfo")
_SEPARATED = _PROSE | _VERBATIM | {"title", "row", "br", "lb"}
_MAX_INDENT = 12
_MAX_LEVEL = 9
_TIGHT_FROM_DEPTH = 2
"""Elements from this depth on have no blank line before them; chunks may begin at the others."""

_Part = tuple[Node | Text, int, int, str]


def write_elements(root: Node, outline: Outline) -> None:
    """Append all of `root` to `outline`; it does not recurse, so nesting may have any depth."""
    writer = _Writer(outline)
    pending: list[_Part] = [(root, 0, 1, "")]
    while pending:
        pending += reversed(list(writer.write(*pending.pop())))


class _Writer:
    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._tight = False

    def write(self, part: Node | Text, depth: int, level: int, label: str) -> Iterator[_Part]:
        """Write one part, and yield the parts in it that must be written next."""
        if isinstance(part, Text):
            if part.comment:
                self._comment(part, depth)
        elif part.is_leaf or part.is_mixed:
            self._write_element(part, depth, label)
        elif (title := _title(part)) is not None:
            self._outline.add_heading(
                level, " ".join(text for text, _ in text_lines(title)), title.line
            )
            self._tight = False
            for each in part.parts:
                if each is not title:
                    yield each, depth, min(level + 1, _MAX_LEVEL), ""
        else:
            unlabelled = not label and not part.attributes and part.local in _UNLABELLED
            if not unlabelled:
                tight = depth >= _TIGHT_FROM_DEPTH
                self._line(_indent(label or _tag(part), depth), part.line, tight=tight)
            for each, name in _with_labels(part):
                yield each, depth + (not unlabelled), level, name

    def _line(self, text: str, line: int, *, tight: bool = True) -> None:
        self._outline.add_paragraph(text, (line,), tight=tight and self._tight)
        self._tight = True

    def _comment(self, comment: Text, depth: int) -> None:
        for n, text in enumerate(comment.text.split("\n")):
            if text.strip():
                self._line(_indent(f"# {text.strip()}", depth), comment.line + n)

    def _write_element(self, node: Node, depth: int, label: str) -> None:
        if node.local in _VERBATIM:
            rows = _dedent(text_lines(node))
        else:
            rows = [(" ".join(text.split()), line) for text, line in text_lines(node, _SEPARATED)]
            rows = [(text, line) for text, line in rows if text]
        named = not node.attributes.keys().isdisjoint(("key", "name"))
        if (
            not label
            and rows
            and not (named and node.is_leaf)
            and (node.is_mixed or node.local in _PROSE | _VERBATIM)
        ):
            self._paragraph(rows)
        elif label and not rows:
            self._line(_indent(f"{label}: {_tag(node)}", depth), node.line)
        elif not rows:
            self._line(_indent(_tag(node), depth), node.line)
        else:
            head = label or _tag(node)
            first = f"{head}: {rows[0][0]}" if len(rows) == 1 else f"{head}:"
            self._line(_indent(first, depth), rows[0][1] if len(rows) == 1 else node.line)
            for text, line in rows if len(rows) > 1 else ():
                self._line(_indent(text, depth + 1), line)

    def _paragraph(self, rows: list[tuple[str, int]]) -> None:
        self._outline.add_paragraph("\n".join(text for text, _ in rows), [line for _, line in rows])
        self._tight = False


def _indent(text: str, depth: int) -> str:
    return "  " * min(depth, _MAX_INDENT) + text


def _tag(node: Node) -> str:
    """Return an element's name and attributes."""
    values = (f'{key}="{" ".join(value.split())}"' for key, value in node.attributes.items())
    return " ".join((node.name, *values))


def _title(node: Node) -> Node | None:
    """Return the heading of an element's content, if the element can have one."""
    if not _HEADED.match(node.local):
        return None
    title = node.child("title", "head")
    if title is None and (info := node.child(*_INFO)) is not None:
        title = info.child("title")
    return (
        title if title is not None and any(text.strip() for text, _ in text_lines(title)) else None
    )


def _with_labels(node: Node) -> Iterator[tuple[Node | Text, str]]:
    """Yield the parts of an element; in a property list, values with their key as label."""
    key = ""
    for part in node.parts:
        if node.local == "dict" and isinstance(part, Node) and part.local == "key" and not key:
            key = " ".join(text.strip() for text, _ in text_lines(part))
            continue
        yield part, key if isinstance(part, Node) else ""
        key = "" if isinstance(part, Node) else key


def _dedent(rows: list[tuple[str, int]]) -> list[tuple[str, int]]:
    while rows and not rows[-1][0].strip():
        rows.pop()
    first = next((n for n, (text, _) in enumerate(rows) if text.strip()), len(rows))
    texts = dedent("\n".join(text for text, _ in rows[first:])).split("\n")
    return [(text.rstrip(), line) for text, (_, line) in zip(texts, rows[first:], strict=False)]
