"""Text that was recognised in documents (OCR), page by page, until their file changes."""

from allma_server.storage.sqlite import rows
from allma_server.storage.sqlite.database import Repository
from allma_server.types import SCANNED, Document, RecognisedPage

_SCANNED = f"json_extract(d.metadata, '$.{SCANNED}')"


class Recognition(Repository):
    """Read and write recognised pages; they are removed with their document."""

    async def recognised_pages(self, file_hash: str) -> dict[int, RecognisedPage]:
        """Return the known pages of a file's content, also those of a copy of the file."""
        found = await self._db.rows(
            "SELECT page, text, confidence, problem FROM recognised_pages WHERE file_hash = ?",
            (file_hash,),
        )
        return {row[0]: RecognisedPage(row[1], row[2], row[3]) for row in found}

    async def add_recognised_page(
        self, document_id: int, file_hash: str, number: int, page: RecognisedPage
    ) -> None:
        """Store a page of a document, and erase those of its former content."""
        async with self._db.transaction() as tx:
            await tx.execute(
                "DELETE FROM recognised_pages WHERE document_id = ? AND file_hash <> ?",
                (document_id, file_hash),
            )
            # Nothing, if the document was removed meanwhile.
            await tx.execute(
                "INSERT OR REPLACE INTO recognised_pages "
                "SELECT id, ?2, ?3, ?4, ?5, ?6 FROM documents WHERE id = ?1",
                (
                    document_id,
                    file_hash,
                    number,
                    rows.storable(page.text),
                    page.confidence,
                    rows.storable(page.problem),
                ),
            )

    async def drop_failed_pages(self) -> None:
        """Forget which pages could not be recognised, so that they are tried again."""
        async with self._db.transaction() as tx:
            await tx.execute("DELETE FROM recognised_pages WHERE problem <> ''")

    async def scanned_documents(self) -> list[Document]:
        """Return the documents that have pages to recognise, the oldest first.

        Those of workspaces that are not approved are not read.
        """
        found = await self._db.rows(
            f"SELECT {rows.DOCUMENT} FROM documents d JOIN workspaces w ON w.id = d.workspace_id "
            f"WHERE w.approved AND {_SCANNED} IS NOT NULL ORDER BY d.id"
        )
        return [rows.document(row) for row in found]
