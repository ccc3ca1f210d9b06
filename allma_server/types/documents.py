"""Workspaces and their documents."""

from dataclasses import dataclass
from typing import Literal

DocumentState = Literal["indexed", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder or a single file that the user approved for indexing.

    One that is not `approved` came with an import: its imported documents are found, but its files
    are not read.
    """

    id: int
    path: str
    added_at: str
    approved: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """A ledger row: a file that was seen, with its state.

    `reason_code`: the code of the error whose message is `reason`.
    """

    id: int
    workspace_id: int
    path: str
    format: str
    size: int
    mtime_ns: int
    inode: int
    content_hash: str
    state: DocumentState
    reason: str | None
    title: str
    metadata: dict[str, str]
    chunks: int
    indexed_at: str
    reason_code: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A ledger row as clients see it."""

    id: int
    path: str
    workspace: str
    format: str
    state: DocumentState
    reason: str | None
    title: str
    size: int
    chunks: int
    indexed_at: str
    uri: str


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """A page of the ledger; pass `next_cursor` to get the next one."""

    documents: list[DocumentRow]
    total: int
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of a document, `start_line` to `end_line` of `total_lines`.

    `source`: `disk` for a text file as it is now, `index` for the text extracted from a format,
    `shared` for what another engine has published, `unsaved` for the text of an open editor.
    `notice`: why the text may not be that of the file now.
    """

    path: str
    text: str
    start_line: int
    end_line: int
    total_lines: int
    uri: str
    source: Literal["disk", "index", "shared", "unsaved"]
    notice: str | None = None
