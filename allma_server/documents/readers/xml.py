"""XML: text under its headings, values with their tags, feeds and drawings as people see them.

expat reads the file, which knows each line and any depth of nesting. Entities that a file declares
are neither expanded nor fetched. What is not well-formed is read as plain text.
"""

import re
from pathlib import PurePath

from allma_server.documents.builder import Outline
from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.text import extract_plain_text, is_blank
from allma_server.documents.readers.xml_feed import is_feed, write_feed
from allma_server.documents.readers.xml_outline import write_elements
from allma_server.documents.readers.xml_tree import Node, NotWellFormed, parsed, rows_of
from allma_server.errors import NothingToIndex
from allma_server.types import Extract

_DECLARED = re.compile(rb"""<\?xml[^>]{0,100}?encoding\s*=\s*["']\s*([\w.:-]+)""")
_DRAWN = frozenset({"text", "title", "desc", "foreignObject"})
_TITLED = ("channel", "info", "bookinfo", "head", "header", "prolog")
_SPACED = frozenset({"tspan", "p", "div"})


def read(data: bytes, path: PurePath) -> Extract:
    """Read XML of any vocabulary except XHTML, which is read as HTML."""
    declared = _DECLARED.search(data[:4096])
    text = decode(data, declared[1].decode("ascii") if declared else None)
    if is_blank(text):
        raise NothingToIndex("The file is empty.")
    try:
        root = parsed(text.replace("\0", "\ufffd"))
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
    """What the document calls itself."""
    for node in (root, root.child(*_TITLED)):
        title = node.child("title", "name") if node is not None else None
        if title is not None:
            return " ".join(text.strip() for text, _ in rows_of(title))
    return None


def _write_drawing(root: Node, outline: Outline) -> None:
    """Appends the words in a drawing, and what it is called by."""
    pending = [root]
    while pending:
        node = pending.pop()
        if node.local in _DRAWN:
            rows = [(" ".join(text.split()), line) for text, line in rows_of(node, _SPACED)]
            rows = [(text, line) for text, line in rows if text]
            outline.add_paragraph("\n".join(text for text, _ in rows), [line for _, line in rows])
        elif node.local not in ("style", "script", "metadata"):
            pending += reversed(list(node.nodes()))
