"""Feeds (RSS, Atom, RDF): each item below its title, with its text as a feed reader shows it."""

import re
from html import unescape

from allma_server.documents.builder import Outline
from allma_server.documents.readers import html
from allma_server.documents.readers.xml_tree import Node, Text, text_lines
from allma_server.errors import UnreadableDocument

_ITEMS = frozenset({"item", "entry"})
_TEXTS = frozenset({"description", "summary", "content", "encoded", "subtitle", "tagline"})
_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>|&(?:#\d+|#x[0-9A-Fa-f]+|\w+);")
_INLINE = re.compile(r"</?(?:a|b|br|code|em|font|i|p|small|span|strong|su[bp]|u)\b[^<>]*>", re.I)
_BLOCKS = frozenset("p div li td th br h1 h2 h3 h4 h5 h6 pre blockquote".split())


def is_feed(root: Node) -> bool:
    """Return whether the name of the root element is that of a feed."""
    return root.local in ("rss", "feed") or (
        root.local == "RDF" and root.child("item", "channel") is not None
    )


def write_feed(root: Node, outline: Outline) -> None:
    """Append the fields of the feed and its items to `outline`."""
    channel = root.child("channel") or root
    _write(channel, outline, 1)
    sources = (channel,) if channel is root else (channel, root)
    for source in sources:
        for item in source.nodes():
            if item.local in _ITEMS:
                _write(item, outline, 2)


def _write(node: Node, outline: Outline, level: int) -> None:
    """Write the fields of a feed or an item: its title, short ones line by line, then texts."""
    title = node.child("title")
    named = _one_line(title) or " ".join((node.local, _one_line(node.child("id", "guid", "link"))))
    outline.add_heading(level, named, node.line if title is None else title.line)
    texts: list[Node] = []
    lines: list[tuple[str, int]] = []
    for field in node.nodes():
        if field.local in _TEXTS:
            texts.append(field)
        elif field is not title and field.local not in _ITEMS and field.local != "channel":
            value = _one_line(field) or field.attributes.get("href") or field.attributes.get("url")
            value = value or field.attributes.get("term") or ""
            if value:
                lines.append((f"{field.name}: {value}", field.line))
    outline.add_paragraph("\n".join(text for text, _ in lines), [line for _, line in lines])
    for text in texts:
        _write_text(text, outline, level)


def _one_line(node: Node | None) -> str:
    """Return the text of a field as one line, with doubly escaped entities decoded."""
    if node is None:
        return ""
    text = " ".join(" ".join(text for text, _ in text_lines(node)).split())
    return " ".join(unescape(_INLINE.sub(" ", text)).split()) if _MARKUP.search(text) else text


def _write_text(node: Node, outline: Outline, level: int) -> None:
    first = next((part for part in node.parts if isinstance(part, Text)), None)
    plain = first is None or not node.is_leaf or node.attributes.get("type") == "text"
    if first is not None and not plain and _MARKUP.search(first.text):
        try:
            html.write_blocks(
                html.page_blocks(first.text), outline, below=level, before=first.line - 1
            )
            return
        except UnreadableDocument:
            pass  # it has no markup
    rows = [(" ".join(text.split()), line) for text, line in text_lines(node, _BLOCKS)]
    rows = [(text, line) for text, line in rows if text]
    outline.add_paragraph("\n".join(text for text, _ in rows), [line for _, line in rows])
