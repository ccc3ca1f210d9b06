"""Open documents of an editor, whose lines end where the protocol says.

pygls ends lines where Python does, at form feeds and U+2028 as well, so what an editor selects or
changes behind one would be looked for elsewhere.
"""

from lsprotocol import types
from pygls.workspace import TextDocument, Workspace

from allma_server._internal.lines import lines_with_ends


class Buffer(TextDocument):
    """An open document."""

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(lines_with_ends(self.source))


class Buffers(Workspace):
    """The open documents of one editor."""

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
    """The place of a new, still empty workspace of pygls."""
    return Buffers(
        workspace.root_uri,
        types.TextDocumentSyncKind.Incremental,
        list(workspace.folders.values()),
        workspace.position_encoding,
    )
