"""Open documents of an editor, with the line ends and positions that LSP defines.

pygls splits lines as Python does, also at form feeds and U+2028, so positions after one of these
would be wrong; and it splits and joins the whole text for each edit.
"""

import logging
from urllib.parse import unquote

from lsprotocol import types
from pygls.workspace import TextDocument, Workspace

from allma_server._internal.lines import lines_with_ends

_UNITS = {
    types.PositionEncodingKind.Utf8: ("utf-8", 1),
    types.PositionEncodingKind.Utf16: ("utf-16-le", 2),
    types.PositionEncodingKind.Utf32: ("utf-32-le", 4),
}
"""How to encode a text so that a column is a number of bytes, and how many bytes a column has."""

_log = logging.getLogger(__name__)


class Buffer(TextDocument):
    """An open document.

    It is kept as lines, so that an edit costs what it changes, and not what the document has.
    `is_known`: False after an edit that cannot be applied, until the editor sends the whole text.
    """

    is_known = True
    _rows: list[str] | None = None  # with their ends; made from the text by the first edit

    @property
    def source(self) -> str:
        if self._source is None and self._rows is not None:
            self._source = "".join(self._rows)
        return super().source

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(self._rows or lines_with_ends(self.source))

    def apply_change(self, change: types.TextDocumentContentChangeEvent) -> None:
        if not isinstance(change, types.TextDocumentContentChangePartial):
            self._source, self._rows, self.is_known = change.text, None, True
        elif self.is_known:
            rows = self._rows = self._rows or lines_with_ends(self.source)
            # As the protocol's own library does, the two ends may be in either order.
            places = (self._place(rows, at) for at in (change.range.start, change.range.end))
            (first, start), (last, end) = sorted(places)
            before = "".join(rows[first : first + 1])[:start]
            after = "".join(rows[last : last + 1])[end:]
            if first and not rows[first - 1].endswith("\n"):
                first -= 1  # what follows may belong to it: after a \r, or at the end of the text
                before = rows[first] + before
            rows[first : last + 1] = lines_with_ends(f"{before}{change.text}{after}")
            self._source = None

    def _place(self, rows: list[str], position: types.Position) -> tuple[int, int]:
        """Return the row and index of a position; one beyond its line or the text is its end."""
        if position.line >= len(rows):
            return len(rows), 0
        line = rows[position.line].rstrip("\r\n")
        if line.isascii():
            return position.line, min(position.character, len(line))
        encoding, width = _UNITS[types.PositionEncodingKind(self.position_codec.encoding)]
        before = line.encode(encoding, "surrogatepass")[: width * position.character]
        return position.line, len(before.decode(encoding, "ignore"))


class Buffers(Workspace):
    """The open documents of one editor."""

    def find(self, uri: str) -> TextDocument | None:
        """Return an open document; None if it is not open."""
        return self.text_documents.get(unquote(uri))

    def lose(self, uri: str) -> None:
        """Note that an edit of a document cannot be applied."""
        if isinstance(buffer := self.find(uri), Buffer):
            buffer.is_known = False

    def update_text_document(
        self,
        text_doc: types.VersionedTextDocumentIdentifier,
        change: types.TextDocumentContentChangeEvent,
    ) -> None:
        known = self.find(text_doc.uri)
        if known is None:
            _log.info("an edit of a document that is not open: %s", text_doc.uri)
            return
        if known.version is not None and text_doc.version < known.version:
            # It was made in a text that is no longer there.
            self.lose(text_doc.uri)
        super().update_text_document(text_doc, change)

    def _create_text_document(
        self,
        doc_uri: str,
        source: str | None = None,
        version: int | None = None,
        language_id: str | None = None,
    ) -> TextDocument:
        return Buffer(
            doc_uri,
            source=source,
            version=version,
            language_id=language_id,
            sync_kind=types.TextDocumentSyncKind.Incremental,
            position_codec=self.position_codec,
        )


def buffers_of(workspace: Workspace) -> Buffers:
    """Replace a new, still empty workspace of pygls."""
    return Buffers(
        workspace.root_uri,
        types.TextDocumentSyncKind.Incremental,
        list(workspace.folders.values()),
        workspace.position_encoding,
    )
