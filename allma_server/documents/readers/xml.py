"""XML: text below its headings, values with their tags, feeds and drawings as they are displayed.

expat parses the file: it reports line numbers and allows any depth of nesting. External entities
are never opened, and entities that could grow are refused. A file that is not well-formed is read
as plain text.
"""

import re
from pathlib import PurePath

from allma_server.documents.builder import Outline
from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.text import extract_plain_text, is_blank
from allma_server.documents.readers.xml_feed import is_feed, write_feed
from allma_server.documents.readers.xml_outline import write_elements
from allma_server.documents.readers.xml_tree import Node, NotWellFormed, parse_xml, text_lines
from allma_server.errors import NothingToIndex
from allma_server.types import Extract

_DECLARED = re.compile(rb"""<\?xml[^>]{0,100}?encoding\s*=\s*["']\s*([\w.:-]+)""")
_DRAWING_TEXT = frozenset({"text", "title", "desc", "foreignObject"})
_TITLED = ("channel", "info", "bookinfo", "head", "header", "prolog")
_SEPARATED = frozenset({"tspan", "p", "div"})


def read(data: bytes, path: PurePath) -> Extract:
    """Read XML of any vocabulary except XHTML, which is read as HTML."""
    declared = _DECLARED.search(data[:4096])
    text = decode(data, declared[1].decode("ascii") if declared else None)
    if is_blank(text):
        raise NothingToIndex("The file is empty.")
    try:
        root = parse_xml(text.replace("\0", "\ufffd"))
    except NotWellFormed as exc:
        extract = extract_plain_text(text)
        return Extract(extract.text, extract.sections, metadata={"note": str(exc)})
    outline = Outline()
    if is_feed(root):
        write_feed(root, outline)
    elif root.local == "svg":
        _write_drawing(root, outline)
    else:
        write_elements(root, outline)
    return outline.build("It has no text.", title=_title(root))


def _title(root: Node) -> str | None:
    """Return the title that the document declares."""
    for node in (root, root.child(*_TITLED)):
        title = node.child("title", "name") if node is not None else None
        if title is not None:
            return " ".join(text.strip() for text, _ in text_lines(title))
    return None


def _write_drawing(root: Node, outline: Outline) -> None:
    """Append the texts, titles and descriptions of a drawing."""
    pending = [root]
    while pending:
        node = pending.pop()
        if node.local in _DRAWING_TEXT:
            rows = [(" ".join(text.split()), line) for text, line in text_lines(node, _SEPARATED)]
            rows = [(text, line) for text, line in rows if text]
            outline.add_paragraph("\n".join(text for text, _ in rows), [line for _, line in rows])
        elif node.local not in ("style", "script", "metadata"):
            pending += reversed(list(node.nodes()))
