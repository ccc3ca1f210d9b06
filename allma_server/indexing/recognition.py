"""Recognise the text of pictures and scanned pages (OCR) in the background, page by page.

A document is indexed at once with the text that it has. Each recognised page is stored; after some
pages, and at the end, the document is published again with them. Questions and all other work on
the index go first, and the recogniser's process has the lowest priority.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from allma_server._internal.path_text import shown
from allma_server.errors import DocumentNotFound, NothingToIndex
from allma_server.indexing.jobs import Jobs, Run
from allma_server.indexing.pipeline import hash_file
from allma_server.indexing.schedule import Priority
from allma_server.ports import TextRecogniser
from allma_server.types import SCANNED, Document, RecognisedPage, page_numbers

log = logging.getLogger(__name__)

OCR = "ocr"
"""The kind of the job that recognises text."""

PAGES_PER_PUBLICATION = 25
"""Pages of a document that are recognised before those are searchable."""


class Catalogue(Protocol):
    """The methods of the catalogue that are used here."""

    async def scanned_documents(self) -> list[Document]: ...
    async def recognised_pages(self, file_hash: str) -> dict[int, RecognisedPage]: ...
    async def add_recognised_page(
        self, document_id: int, file_hash: str, number: int, page: RecognisedPage
    ) -> None: ...
    async def drop_failed_pages(self) -> None: ...


class Recognition:
    """Recognises text; one job at a time. Without a recogniser, it does nothing.

    `publish` reads a document again, with the pages that are known by then. `pages_left`: how many
    pages the job still has to recognise.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        recogniser: TextRecogniser | None,
        jobs: Jobs,
        publish: Callable[[Document], Awaitable[None]],
        max_bytes: int,
    ) -> None:
        self._catalogue = catalogue
        self._recogniser = recogniser
        self._jobs = jobs
        self._publish = publish
        self._max_bytes = max_bytes
        self._is_needed = False
        self.pages_left = 0

    async def retry_failed(self) -> None:
        """Try pages again that could not be recognised, when their document is read again."""
        if self._recogniser is not None:
            await self._catalogue.drop_failed_pages()

    def start(self) -> None:
        """Start the job, if it does not run: there may be pages to recognise."""
        self._is_needed = True
        if self._recogniser is not None and not self._jobs.runs(OCR):
            recogniser = self._recogniser
            self._jobs.start(
                "", lambda run: self._work(run, recogniser), Priority.MAINTENANCE, kind=OCR
            )

    async def wait(self) -> None:
        """Wait until the job has ended."""
        if tasks := {run.task for run in self._jobs.runs(OCR) if run.task is not None}:
            await asyncio.wait(tasks)

    async def _work(self, run: Run, recogniser: TextRecogniser) -> None:
        done = 0
        try:
            while self._is_needed:
                self._is_needed = False
                tried: set[tuple[int, int]] = set()
                while documents := await self._untried(tried):
                    pages = await self._recognise(run, recogniser, documents[0], done)
                    done += pages
                    if not pages:
                        tried.add(_version(documents[0]))
        finally:
            self.pages_left = 0

    async def _untried(self, tried: set[tuple[int, int]]) -> list[Document]:
        documents = await self._catalogue.scanned_documents()
        left = [document for document in documents if _version(document) not in tried]
        self.pages_left = sum(len(_pages(document)) for document in left)
        return left

    async def _recognise(
        self, run: Run, recogniser: TextRecogniser, document: Document, done: int
    ) -> int:
        """Recognise the next pages of a document and publish it; return how many were new."""
        count = 0
        try:
            content = await asyncio.to_thread(
                hash_file, document.path, recogniser.identity, self._max_bytes
            )
            known = await self._catalogue.recognised_pages(content)
            unknown = [page for page in _pages(document) if page not in known]
            for number in unknown[:PAGES_PER_PUBLICATION]:
                message = f"recognising text in {shown(document.path)}, page {number}"
                await run.report(done + count, done + count + self.pages_left, message)
                await run.wait_until_idle()
                page = await recogniser.recognise(document.path, number, content)
                await self._catalogue.add_recognised_page(document.id, content, number, page)
                self.pages_left = max(0, self.pages_left - 1)
                count += 1
        except (DocumentNotFound, NothingToIndex, OSError) as exc:
            # It has changed or is gone: the run that sees that starts this job again.
            log.info("text in %s is not recognised: %s", document.path, exc)
            return 0
        await self._publish(document)
        return count


def _version(document: Document) -> tuple[int, int]:
    return document.id, document.mtime_ns


def _pages(document: Document) -> list[int]:
    return page_numbers(document.metadata.get(SCANNED, ""))
