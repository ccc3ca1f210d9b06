"""Full-text search: BM25 over the terms that distinguish documents."""

from collections.abc import Callable, Sequence

from allma_server._internal.tokens import query_terms
from allma_server.storage.sqlite.database import Database, Repository
from allma_server.storage.sqlite.rows import as_json
from allma_server.types import DocumentSet, Hit

MAX_POSTINGS = 6_000
"""Rows that one search may score, 1.5 µs each; the most frequent terms are dropped first."""

_BM25 = "bm25(chunks_fts, 2.0, 2.0, 1.0)"
"""A term in the file's name or the heading counts twice. Negative: lower is better."""


class FullText(Repository):
    """Searches the text of chunks; implements `ports.FullTextIndex`."""

    def __init__(self, database: Database, shown: Callable[[str], str] = str) -> None:
        super().__init__(database, shown)
        self._chunks = 0
        self._frequencies: dict[str, int] = {}
        self._counted_at = -1

    async def search_text(
        self, query: str, k: int, documents: DocumentSet | None = None
    ) -> list[Hit]:
        """Return the `k` chunks that match best, of all documents or of these."""
        terms = query_terms(query)
        await self._count(terms.terms)
        match = terms.match(terms.too_frequent(self._frequencies, MAX_POSTINGS))
        if not match or k <= 0 or (documents is not None and not len(documents)):
            return []
        narrowed, values = "", [match]
        if documents is not None:
            # The plus sign prevents SQLite from running one full-text search for each chunk.
            narrowed = (
                "AND +rowid IN (SELECT id FROM chunks "
                "WHERE document_id IN (SELECT value FROM json_each(?)))"
            )
            values.append(as_json(documents.documents.tolist()))
        found = await self._db.rows(
            f"SELECT rowid, {_BM25} AS bm25 FROM chunks_fts "
            f"WHERE chunks_fts MATCH ? {narrowed} ORDER BY bm25 LIMIT ?",
            (*values, k),
        )
        return [Hit(row["rowid"], -row["bm25"]) for row in found]

    async def _count(self, terms: Sequence[str]) -> None:
        """Look up in how many chunks these terms are; counting a frequent term is slow."""
        if self._counted_at != self._db.revision:
            [count] = await self._db.rows("SELECT coalesce(sum(chunks), 0) FROM documents")
            self._counted_at = self._db.revision
            # Frequencies change slowly: they are kept until the index has grown by a tenth.
            if abs(count[0] - self._chunks) > 0.1 * self._chunks:
                self._chunks = count[0]
                self._frequencies.clear()
        unknown = [term for term in terms if term not in self._frequencies]
        if not unknown:
            return
        found = await self._db.rows(
            "SELECT term, doc FROM chunks_terms WHERE term IN (SELECT value FROM json_each(?))",
            (as_json(unknown),),
        )
        self._frequencies.update(dict.fromkeys(unknown, 0))
        self._frequencies.update((row["term"], row["doc"]) for row in found)
