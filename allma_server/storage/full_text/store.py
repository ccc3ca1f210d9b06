"""One index of Tantivy in a folder of its own. All functions block: call them in a thread."""

import contextlib
import itertools
import json
import os
import tempfile
from collections.abc import Collection, Generator, Iterable, Sequence
from pathlib import Path

import numpy as np
import tantivy

from allma_server._internal.private import make_private_folder
from allma_server._internal.tokens import query_terms
from allma_server.errors import DiskFull, FullTextDown
from allma_server.storage.full_text.entries import TEXT, Entry
from allma_server.storage.full_text.fields import (
    CHUNK,
    DOCUMENT,
    EMPTY,
    document_of,
    empty_document,
    make_schema,
)
from allma_server.storage.full_text.files import check_files, read_meta
from allma_server.storage.full_text.parts import WordParts, word_parts
from allma_server.storage.full_text.queries import named, narrowed, of_ids, of_places, query_of
from allma_server.storage.full_text.scoring import Scorer
from allma_server.storage.full_text.statistics import IndexedTexts
from allma_server.storage.sqlite.full_text_outbox import ChunkText
from allma_server.types import DocumentSet, Hit, WordHits, WordStatistics

WRITER_BYTES = 32_000_000
"""Memory in which new entries are collected before they become a part of the index."""

MAX_IDS = 2_000
"""Documents that are filtered by their ids; looking up more takes longer than hits outside them."""

MARGIN, MIN_SHARE, MAX_FETCHED = 20, 0.01, 20_000
"""Hits taken beyond those wanted, the smallest share of them that is expected to be in the set, and
the most that are taken before the set is filtered by its ids after all."""

MERGED_PARTS = 8
"""Parts of about one size that Tantivy merges."""

MAX_NAMED = 5_000
"""Chunks that are looked at for files of a name."""

NEARLY_ALL = 0.9
"""Share of the index above which leaving out hits is faster than a filter."""

_PAGE = 50_000
"""Chunk ids whose entries are looked at in one step."""

_INTENT = "allma.json"


class WordStore:
    """An open index. It can be searched while it is written, by one writer at a time.

    Made by `create` or `open`; every method raises FullTextDown when the index is damaged or locked
    and DiskFull when no space is left.
    """

    def __init__(self, folder: Path, index: tantivy.Index) -> None:
        self.folder = folder
        self._index = index
        self._schema = index.schema
        self._writer: tantivy.IndexWriter | None = None
        self._mirror: tempfile.TemporaryDirectory[str] | None = None
        index.config_reader("manual")
        index.reload()
        self._texts = IndexedTexts(index.searcher(), self._schema)

    @classmethod
    def create(cls, folder: Path) -> "WordStore":
        """Create an empty index."""
        with _failures():
            make_private_folder(folder)
            return cls(folder, tantivy.Index(make_schema(), path=str(folder), reuse=False))

    @classmethod
    def open(cls, folder: Path) -> "WordStore":
        """Open an index whose files are whole; a folder that cannot be written is only read."""
        with _failures():
            check_files(folder)
            if os.access(folder, os.W_OK):
                return cls(folder, tantivy.Index.open(str(folder)))
            # Tantivy locks the folder even for reading.
            mirror = tempfile.TemporaryDirectory(prefix="allma-", ignore_cleanup_errors=True)
            for file in folder.iterdir():
                if file.suffix != ".lock":
                    os.symlink(file, Path(mirror.name, file.name))
            store = cls(folder, tantivy.Index.open(mirror.name))
            store._mirror = mirror
            return store

    @property
    def entries(self) -> int:
        """How many chunks it holds, as of the last commit."""
        return self._texts.searcher.num_docs

    def last_commit(self) -> int:
        """Return the number of the last commit; later ones have larger numbers."""
        with _failures():
            return int(read_meta(self.folder)["opstamp"])

    def intent(self) -> tuple[int, int]:
        """Return the commit before the last attempt to commit, and that attempt's last change."""
        try:
            written = json.loads((self.folder / _INTENT).read_bytes())
            return int(written["commit"]), int(written["seq"])
        except (OSError, ValueError, KeyError, TypeError):
            return -1, -1

    def search(
        self,
        query: str,
        k: int,
        documents: DocumentSet | None,
        pending: Sequence[Entry] = (),
        changed: Collection[int] = (),
    ) -> WordHits:
        """Return the `k` chunks that match best, of all documents or of these.

        Args:
            query: what is searched for.
            k: how many chunks are wanted.
            documents: None for all.
            pending: chunks that the index does not hold as they are now, of all documents.
            changed: their ids, and those of removed chunks that the index still holds.
        """
        with _failures():
            texts = self._texts  # once: a commit replaces it
            scorer = Scorer(pending, texts)
            words = word_parts(query_terms(query), scorer)
            hits = self._found(texts.searcher, words, k + len(changed), documents)
            if changed or pending:
                hits = [hit for hit in hits if hit.chunk_id not in changed]
                hits += scorer.hits(words.parts, _in_documents(pending, documents))
                hits.sort(key=lambda hit: -hit.score)
            return WordHits(hits[:k], words.similar)

    def _found(
        self,
        searcher: tantivy.Searcher,
        words: WordParts,
        k: int,
        documents: DocumentSet | None,
    ) -> list[Hit]:
        """Return what the index holds."""
        query = query_of(words.parts, self._schema, searcher)
        if query is None:
            return []
        if documents is None:
            return _hits(searcher, query, k)
        return self._narrowed(searcher, query, k, documents)

    def statistics(self, terms: Collection[str]) -> WordStatistics:
        """Return how many texts there are, their mean length, and how many have each term."""
        with _failures():
            texts = self._texts
            known = {term: texts.frequency(TEXT, term) for term in terms}
            return WordStatistics(texts.total, texts.mean_length(TEXT), known)

    def documents_named(self, names: Sequence[str], documents: DocumentSet | None) -> set[int]:
        """Return documents with these file names, without or with any suffix."""
        with _failures():
            searcher = self._texts.searcher
            query = named(self._schema, searcher, names)
            found = searcher.search(query, MAX_NAMED, count=False).hits
            addresses = [address for _, address in found]
            ids = np.array(_values(searcher, DOCUMENT, addresses), np.int64)
            return set(ids.tolist() if documents is None else ids[documents.contains(ids)].tolist())

    def _narrowed(
        self, searcher: tantivy.Searcher, query: tantivy.Query, k: int, documents: DocumentSet
    ) -> list[Hit]:
        """Return the best hits in these documents.

        Few documents are filtered by their ids. Of many, the hits in the places that the documents
        have in common are taken, until enough of them are in these documents.
        """
        if len(documents) <= MAX_IDS and not (documents.filters and documents.complete):
            return _hits(searcher, narrowed(query, [of_ids(self._schema, documents)]), k)
        nearly_all = documents.share > NEARLY_ALL
        wanted = query if nearly_all else narrowed(query, of_places(self._schema, documents))
        exact = bool(documents.filters) and documents.complete and not nearly_all
        share = 1.0 if exact else documents.share
        count = k + MARGIN
        if share < 1:
            count = int(count / max(share, MIN_SHARE))
        while count <= MAX_FETCHED:
            found = searcher.search(wanted, count, count=False).hits
            hits = _inside(searcher, found, documents)
            if len(hits) >= k or len(found) < count:
                return hits[:k]
            count *= 4
        return _hits(searcher, narrowed(query, [of_ids(self._schema, documents)]), k)

    def write(self, removed: Collection[int], added: Iterable[ChunkText]) -> None:
        """Replace the entries of chunks; takes effect with the next commit."""
        documents = [document_of(chunk) for chunk in added]
        with self._writing() as writer:
            for chunk_id in removed:
                # Deleting by a query misses entries in segments that are being merged.
                writer.delete_documents_by_term(CHUNK, chunk_id)
            for document in documents:
                writer.add_document(document)

    def commit(self, seq: int) -> int:
        """Make what was written visible and durable; return the number of the commit.

        `seq`: the last change in it, by which an interrupted commit is recognised.
        """
        with self._writing() as writer:
            intent = {"commit": self.last_commit(), "seq": seq}
            (self.folder / _INTENT).write_text(json.dumps(intent), encoding="ascii")
            number = writer.commit()
            self._reload()
            return number

    def segments(self) -> list[str]:
        """Return the parts of the index, by their number in it."""
        with _failures():
            return [segment["segment_id"] for segment in read_meta(self.folder)["segments"]]

    def worn_segments(self) -> set[str]:
        """Return the parts of the index that still hold words of removed chunks."""
        with _failures():
            return {
                segment["segment_id"]
                for segment in read_meta(self.folder)["segments"]
                if segment["deletes"] is not None
            }

    def chunks_in(self, segments: Collection[str], limit: int) -> list[int]:
        """Return chunks whose entries are in these parts, at most `limit`."""
        with _failures():
            self._reload()
            order = self.segments()
            wanted = {number for number, id in enumerate(order) if id in segments}
            if len(order) != self._texts.searcher.num_segments:
                raise FullTextDown("The full-text index changed while it was read.")
            found: list[int] = []
            after = 0
            while len(found) < limit and (page := self._chunks_after(after, wanted)) is not None:
                after, ids = page
                found += ids
            return found[:limit]

    def prepare_merge(self, segments: Collection[str]) -> int:
        """Write a part that has these merged, and return its size; the next commit has an entry.

        Tantivy drops removed entries where it merges, and merges MERGED_PARTS parts of one size. It
        orders them by their entries with the removed ones, and compares them without: after a large
        part of which one entry is left, all smaller ones count as of its size. The removed entries
        of that part are empty, and go with the merge.
        """
        with _failures():
            parts = read_meta(self.folder)["segments"]
            sizes = [part["max_doc"] for part in parts if part["segment_id"] in segments]
            size = max(sizes, default=0) + 1
        with self._writing() as writer:
            empty = empty_document()
            for _ in range(size - 1):
                writer.add_document(empty)
            writer.delete_documents_by_term(CHUNK, EMPTY)
        return size

    def is_merging(self, size: int) -> bool:
        """Return whether the parts up to this size are so many that they are merged."""
        with _failures():
            parts = read_meta(self.folder)["segments"]
            return sum(part["max_doc"] <= size for part in parts) >= MERGED_PARTS

    def collect_garbage(self) -> None:
        """Delete files that are no longer part of the index."""
        with self._writing() as writer:
            writer.garbage_collect_files()
            self._reload()

    def close(self) -> None:
        """Finish merging, and free everything."""
        try:
            self.close_writer()
        finally:
            if self._mirror is not None:
                self._mirror.cleanup()

    def close_writer(self) -> None:
        """Finish merging, and free the memory for writing."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with _failures():
                writer.wait_merging_threads()
                self._reload()

    def _chunks_after(self, after: int, segments: Collection[int]) -> tuple[int, list[int]] | None:
        """Return the next chunk ids and the last one looked at; None at the end."""
        query = tantivy.Query.range_query(
            self._schema, CHUNK, tantivy.FieldType.Integer, after + 1, None
        )
        found = self._texts.searcher.search(
            query, _PAGE, count=False, order_by_field=CHUNK, order=tantivy.Order.Asc
        ).hits
        if not found:
            return None
        addresses = [address for _, address in found]
        ids = _values(self._texts.searcher, CHUNK, addresses)
        inside = [id for id, at in zip(ids, addresses, strict=True) if at.segment_ord in segments]
        return ids[-1], inside

    def _reload(self) -> None:
        self._index.reload()
        self._texts = IndexedTexts(self._index.searcher(), self._schema, self._texts)

    @contextlib.contextmanager
    def _writing(self) -> Generator[tantivy.IndexWriter]:
        with _failures():
            if self._writer is None:
                self._writer = self._index.writer(heap_size=WRITER_BYTES, num_threads=1)
            try:
                yield self._writer
            except BaseException:
                # What it holds is still pending in SQLite; a new writer begins at the last commit.
                self._writer = None
                raise


@contextlib.contextmanager
def _failures() -> Generator[None]:
    """Raise failures of Tantivy and of the disk as FullTextDown or DiskFull."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as exc:
        raise _translated(exc) from exc
    except BaseException as exc:
        # A panic of Rust is no Exception; damaged files can cause one.
        if type(exc).__name__ != "PanicException":
            raise
        raise _translated(exc) from exc


def _translated(exc: BaseException) -> FullTextDown | DiskFull:
    if "No space left" in str(exc) or "os error 28" in str(exc):
        return DiskFull("No space is left for the full-text index.")
    return FullTextDown(f"The full-text index cannot be used: {exc}.")


def _hits(searcher: tantivy.Searcher, query: tantivy.Query, k: int) -> list[Hit]:
    found = searcher.search(query, k, count=False).hits
    ids = _values(searcher, CHUNK, [address for _, address in found])
    return [Hit(id, score) for id, (score, _) in zip(ids, found, strict=True)]


def _inside(
    searcher: tantivy.Searcher,
    found: Sequence[tuple[float, tantivy.DocAddress]],
    documents: DocumentSet,
) -> list[Hit]:
    """Return the hits that are in these documents, in the same order."""
    addresses = [address for _, address in found]
    inside = documents.contains(np.array(_values(searcher, DOCUMENT, addresses), np.int64))
    kept = [hit for hit, wanted in zip(found, inside.tolist(), strict=True) if wanted]
    ids = _values(searcher, CHUNK, [address for _, address in kept])
    return [Hit(id, score) for id, (score, _) in zip(ids, kept, strict=True)]


def _in_documents(entries: Sequence[Entry], documents: DocumentSet | None) -> Sequence[Entry]:
    if documents is None or not entries:
        return entries
    inside = documents.contains(np.array([entry.document_id for entry in entries], np.int64))
    return list(itertools.compress(entries, inside.tolist()))


def _values(
    searcher: tantivy.Searcher, field: str, addresses: list[tantivy.DocAddress]
) -> list[int]:
    return [int(value or 0) for value in searcher.fast_field_values(field, addresses)]
