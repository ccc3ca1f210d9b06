"""Elements of any XML vocabulary as an outline: sections, paragraphs, and lines `tag: value`."""

import re
from collections.abc import Iterator
from textwrap import dedent

from allma_server.documents.builder import Outline
from allma_server.documents.readers.xml_tree import Node, Text, rows_of

# A sentence in these needs no label.
_PROSE = frozenset(
    "p para simpara formalpara paragraph line li dt dd listitem item entry cell td th".split()
)
# What structures prose is seen in its shape.
_SILENT = frozenset(
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
_APART = _PROSE | _VERBATIM | {"title", "row", "br", "lb"}
_DEEPEST = 12
_LEVELS = 9
_SPACED_OUT = 2
"""Elements above this depth stand apart, so that chunks may begin at them."""

_Part = tuple[Node | Text, int, int, str]


def write_elements(root: Node, outline: Outline) -> None:
    """Appends all of `root` to `outline`; nothing recurs, so that nesting may be of any depth."""
    writer = _Writer(outline)
    pending: list[_Part] = [(root, 0, 1, "")]
    while pending:
        pending += reversed(list(writer.write(*pending.pop())))


class _Writer:
    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._tight = False

    def write(self, part: Node | Text, depth: int, level: int, label: str) -> Iterator[_Part]:
        """Writes one part, and yields those in it that are to be written next."""
        if isinstance(part, Text):
            if part.comment:
                self._comment(part, depth)
        elif part.is_leaf or part.is_mixed:
            self._element(part, depth, label)
        elif (title := _title(part)) is not None:
            self._outline.add_heading(
                level, " ".join(text for text, _ in rows_of(title)), title.line
            )
            self._tight = False
            for each in part.parts:
                if each is not title:
                    yield each, depth, min(level + 1, _LEVELS), ""
        else:
            silent = not label and not part.attributes and part.local in _SILENT
            if not silent:
                tight = depth >= _SPACED_OUT
                self._line(_indented(label or _tag(part), depth), part.line, tight=tight)
            for each, name in _labelled(part):
                yield each, depth + (not silent), level, name

    def _line(self, text: str, line: int, *, tight: bool = True) -> None:
        self._outline.add_paragraph(text, (line,), tight=tight and self._tight)
        self._tight = True

    def _comment(self, comment: Text, depth: int) -> None:
        for n, text in enumerate(comment.text.split("\n")):
            if text.strip():
                self._line(_indented(f"# {text.strip()}", depth), comment.line + n)

    def _element(self, node: Node, depth: int, label: str) -> None:
        if node.local in _VERBATIM:
            rows = _dedented(rows_of(node))
        else:
            rows = [(" ".join(text.split()), line) for text, line in rows_of(node, _APART)]
            rows = [(text, line) for text, line in rows if text]
        if not label and rows and (node.is_mixed or node.local in _PROSE | _VERBATIM):
            self._paragraph(rows)
        elif label and not rows:
            self._line(_indented(f"{label}: {_tag(node)}", depth), node.line)
        elif not rows:
            self._line(_indented(_tag(node), depth), node.line)
        else:
            head = label or _tag(node)
            first = f"{head}: {rows[0][0]}" if len(rows) == 1 else f"{head}:"
            self._line(_indented(first, depth), rows[0][1] if len(rows) == 1 else node.line)
            for text, line in rows if len(rows) > 1 else ():
                self._line(_indented(text, depth + 1), line)

    def _paragraph(self, rows: list[tuple[str, int]]) -> None:
        self._outline.add_paragraph("\n".join(text for text, _ in rows), [line for _, line in rows])
        self._tight = False


def _indented(text: str, depth: int) -> str:
    return "  " * min(depth, _DEEPEST) + text


def _tag(node: Node) -> str:
    """An element's name and attributes."""
    values = (f'{key}="{" ".join(value.split())}"' for key, value in node.attributes.items())
    return " ".join((node.name, *values))


def _title(node: Node) -> Node | None:
    """The heading over an element's content, if it is one that has headings."""
    if not _HEADED.match(node.local):
        return None
    title = node.child("title", "head")
    if title is None and (info := node.child(*_INFO)) is not None:
        title = info.child("title")
    return title if title is not None and any(text.strip() for text, _ in rows_of(title)) else None


def _labelled(node: Node) -> Iterator[tuple[Node | Text, str]]:
    """The parts of an element; in a property list, values with the key before them."""
    key = ""
    for part in node.parts:
        if node.local == "dict" and isinstance(part, Node) and part.local == "key" and not key:
            key = " ".join(text.strip() for text, _ in rows_of(part))
            continue
        yield part, key if isinstance(part, Node) else ""
        key = "" if isinstance(part, Node) else key


def _dedented(rows: list[tuple[str, int]]) -> list[tuple[str, int]]:
    while rows and not rows[-1][0].strip():
        rows.pop()
    first = next((n for n, (text, _) in enumerate(rows) if text.strip()), len(rows))
    texts = dedent("\n".join(text for text, _ in rows[first:])).split("\n")
    return [(text.rstrip(), line) for text, (_, line) in zip(texts, rows[first:], strict=False)]
