"""Open documents of an editor, with the line ends that LSP defines.

pygls splits lines as Python does, also at form feeds and U+2028, so positions after one of these
would be wrong.
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
    """Replace a new, still empty workspace of pygls."""
    return Buffers(
        workspace.root_uri,
        types.TextDocumentSyncKind.Incremental,
        list(workspace.folders.values()),
        workspace.position_encoding,
    )
