"""The documents that a search covers, in the forms by which an index can filter."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # numpy takes longer to import than a client may wait
    import numpy as np
    from numpy.typing import NDArray

Terms = frozenset[str]
"""Terms of `path_terms`; a document has them all or not."""


@dataclass(frozen=True, slots=True)
class TermFilter:
    """A condition on the terms of a document that an inverted index can evaluate.

    Every document of the set fulfils it; others may too, so that what an index finds by it is
    checked with `DocumentSet.contains`.

    Args:
        any_of: the document has all terms of one of these; empty: no condition.
        none_of: the document has all terms of none of these.
        complete: nothing of what was asked for is missing here, so that hardly any document
            outside the set fulfils the condition.
    """

    any_of: tuple[Terms, ...] = ()
    none_of: tuple[Terms, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class DocumentSet:
    """The indexed documents that a search covers, as they were when the search began.

    Args:
        documents: their ids, ascending and distinct: shape (documents,), int64.
        chunks: how many chunks they have.
        all_chunks: how many chunks all indexed documents have.
        filters: conditions that all of them fulfil, each on the terms of a document.
    """

    documents: "NDArray[np.int64]"
    chunks: int
    all_chunks: int
    filters: tuple[TermFilter, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.documents)

    @property
    def share(self) -> float:
        """The share of all chunks that is in the set, from 0 to 1."""
        return self.chunks / self.all_chunks if self.all_chunks else 1.0

    @property
    def complete(self) -> bool:
        """Whether hardly any other document fulfils `filters`."""
        return all(each.complete for each in self.filters)

    def contains(self, documents: "NDArray[np.int64]") -> "NDArray[np.bool_]":
        """Return which of these document ids are in the set; the ids may repeat."""
        if not len(self.documents):
            return documents != documents
        places = self.documents.searchsorted(documents)
        return self.documents.take(places, mode="clip") == documents

    def ranges(self) -> list[range]:
        """Return the ids as ascending, disjoint ranges; ids of one folder often are one range."""
        if not len(self.documents):
            return []
        ids = self.documents
        ends = (ids[1:] - ids[:-1] != 1).nonzero()[0]
        starts = [int(ids[0]), *ids[ends + 1].tolist()]
        stops = [*ids[ends].tolist(), int(ids[-1])]
        return [range(start, stop + 1) for start, stop in zip(starts, stops, strict=True)]
