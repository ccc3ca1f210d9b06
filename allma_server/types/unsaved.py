"""Texts of open editors that are not saved; they are kept in memory only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from allma_server.types.chunks import Chunk
from allma_server.types.documents import Document

if TYPE_CHECKING:  # numpy takes longer to import than a client may wait
    import numpy as np
    from numpy.typing import NDArray

FIRST_UNSAVED = 1 << 52
"""The ids of chunks of unsaved texts begin here; JavaScript can represent them exactly."""


def is_unsaved(chunk_id: int) -> bool:
    """Return whether a chunk is of an unsaved text."""
    return chunk_id >= FIRST_UNSAVED


@dataclass(frozen=True, slots=True, eq=False)
class UnsavedDocument:
    """An indexed document as it is in an editor, cut into chunks.

    Args:
        document: the document as it is indexed.
        workspace: the folder that it is in.
        text: its whole text in the editor.
        chunks: the chunks of that text.
        first_id: the id of the first chunk; those of the others follow.
        embedder: the identity of the embedder of `vectors`.
        vectors: by hash of text; they are added as they are made.
    """

    document: Document
    workspace: str
    text: str
    chunks: tuple[Chunk, ...]
    first_id: int
    embedder: str
    vectors: "Mapping[bytes, NDArray[np.float32]]"

    @property
    def ids(self) -> range:
        """The ids of its chunks."""
        return range(self.first_id, self.first_id + len(self.chunks))

    def numbered(self) -> Iterable[tuple[int, Chunk]]:
        """Return its chunks with their ids."""
        return zip(self.ids, self.chunks, strict=True)
