"""Turn hits into passages: the text found, with its exact place and its neighbours."""

import asyncio
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from allma_server.storage.sqlite import rows
from allma_server.storage.sqlite.database import Repository
from allma_server.types import Chunk, Hit, Passage, common_heading

_PASSAGE = """
    SELECT c.*, d.path, w.path AS workspace FROM chunks c
    JOIN documents d ON d.id = c.document_id JOIN workspaces w ON w.id = d.workspace_id
"""


class Passages(Repository):
    """Read chunks as search needs them; implements `ports.PassageStore` with `Documents`."""

    async def passages(self, hits: Sequence[Hit]) -> list[Passage]:
        """Return the hits' chunks in the hits' order, without hits whose chunk no longer exists."""
        return [self.shown(passage) for passage in await self.candidates(hits)]

    async def candidates(self, hits: Sequence[Hit]) -> list[Passage]:
        """Return the same with texts as they are stored, to be ranked.

        Finding secrets takes longer than ranking, so that `shown` does it for those that are shown.
        """
        found = await self._db.rows(
            f"{_PASSAGE} WHERE c.id IN (SELECT value FROM json_each(?))",
            (rows.as_json(hit.chunk_id for hit in hits),),
        )
        by_id = {row["id"]: row for row in found}
        known = (hit for hit in hits if hit.chunk_id in by_id)
        return [_stored_passage(by_id[hit.chunk_id], hit.score) for hit in known]

    def shown(self, passage: Passage) -> Passage:
        """Return a candidate as it may be shown: with its secrets masked."""
        heading = [self._shown(title) for title in passage.heading]
        return replace(passage, text=self._shown(passage.text), heading=heading)

    async def sample_texts(self, count: int) -> list[str]:
        """Return the beginnings of `count` chunks from all over the index; a few may repeat."""
        bounds = await self._db.row("SELECT min(id) AS first, max(id) AS last FROM chunks")
        if bounds is None or bounds["first"] is None:
            return []
        first, ids = bounds["first"], bounds["last"] + 1 - bounds["first"]
        # Ids have gaps where chunks were removed: the next one is taken.
        found = await self._db.rows(
            "SELECT (SELECT substr(text, 1, 400) FROM chunks WHERE id >= value ORDER BY id LIMIT 1)"
            " AS text FROM json_each(?)",
            (rows.as_json(first + ids * number // count for number in range(count)),),
        )
        return [self._shown(row["text"]) for row in found]

    async def chunk(self, chunk_id: int) -> Passage | None:
        row = await self._db.row(f"{_PASSAGE} WHERE c.id = ?", (chunk_id,))
        return self._passage(row, 0.0) if row else None

    async def passages_of(self, document_id: int) -> list[Passage]:
        """Return a document's chunks as passages, in order."""
        found = await self._db.rows(
            f"{_PASSAGE} WHERE c.document_id = ? ORDER BY c.chunk_index", (document_id,)
        )
        return [self._passage(row, 0.0) for row in found]

    async def first_chunks(self, document_ids: Collection[int], count: int) -> list[int]:
        """Return the first chunk of `count` of these documents, the nearest to their workspace."""
        depth = "length({0}) - length(replace({0}, ?, ''))"
        found = await self._db.rows(
            "SELECT c.id FROM chunks c JOIN documents d ON d.id = c.document_id "
            "JOIN workspaces w ON w.id = d.workspace_id "
            "WHERE c.document_id IN (SELECT value FROM json_each(?)) AND c.chunk_index = 0 "
            f"ORDER BY {depth.format('d.path')} - ({depth.format('w.path')}), d.path LIMIT ?",
            (rows.as_json(document_ids), os.sep, os.sep, count),
        )
        return [row["id"] for row in found]

    async def chunk_ids(self, document_ids: Collection[int]) -> dict[int, int]:
        """Return the ids of the chunks of these documents, each with its document's."""
        found = await self._db.rows(
            "SELECT id, document_id FROM chunks "
            "WHERE document_id IN (SELECT value FROM json_each(?))",
            (rows.as_json(document_ids),),
        )
        return {row["id"]: row["document_id"] for row in found}

    async def chunks_of(self, document_id: int) -> list[Chunk]:
        """Return a document's chunks, in order."""
        found = await self._db.rows(
            "SELECT * FROM chunks WHERE document_id = ? ORDER BY chunk_index", (document_id,)
        )
        return [rows.chunk(row) for row in found]

    async def joined(self, passage: Passage, neighbour: Passage) -> Passage:
        """Join two candidates for showing; return the first alone if a chunk no longer exists."""
        first, second = sorted((passage, neighbour), key=lambda each: each.chunk_index)
        found = await self._db.rows(
            "SELECT * FROM chunks WHERE id IN (?, ?) ORDER BY chunk_index",
            (first.chunk_id, second.chunk_id),
        )
        if len(found) < 2:
            return self.shown(passage)
        start, end = first.start_line, max(first.end_line, second.end_line)
        both = replace(
            passage,
            text=joined([rows.chunk(row) for row in found], repeat=True),
            start_line=start,
            end_line=end,
            heading=common_heading(first.heading, second.heading),
            uri=rows.uri(passage.path, start, end, passage.page),
        )
        return self.shown(both)

    async def extracted_text(
        self, document_id: int, first_chunk: int | None = None, last_chunk: int | None = None
    ) -> tuple[str, list[int]]:
        """Return the chunks' text without overlaps, and each line's number in the file."""
        chunks = [
            chunk
            for chunk in await self.chunks_of(document_id)
            if (first_chunk is None or chunk.index >= first_chunk)
            and (last_chunk is None or chunk.index <= last_chunk)
        ]
        text = await asyncio.to_thread(self._shown, joined(chunks))
        return text, lines_of(chunks)

    async def facts(self, passages: Sequence[Passage]) -> dict[int, tuple[int, int] | None]:
        """Return size and modification time (ns) of the passages' documents when indexed.

        None for documents whose file may not be read, because their workspace is not approved.
        """
        found = await self._db.rows(
            "SELECT d.id, d.size, d.mtime_ns, w.approved FROM documents d "
            "JOIN workspaces w ON w.id = d.workspace_id "
            "WHERE d.id IN (SELECT value FROM json_each(?))",
            (rows.as_json({passage.document_id for passage in passages}),),
        )
        return {
            row["id"]: (row["size"], row["mtime_ns"]) if row["approved"] else None for row in found
        }

    def _passage(self, row: sqlite3.Row, score: float) -> Passage:
        return self.shown(_stored_passage(row, score))


def _stored_passage(row: sqlite3.Row, score: float) -> Passage:
    """Return a passage with its text as it is stored."""
    path = rows.shown_path(row["path"])
    return Passage(
        path=path,
        workspace=rows.shown_path(row["workspace"]),
        document_id=row["document_id"],
        chunk_id=row["id"],
        chunk_index=row["chunk_index"],
        text=row["text"],
        score=score,
        start_line=row["start_line"],
        end_line=row["end_line"],
        page=row["page"],
        heading=rows.texts(row["heading"]),
        uri=rows.uri(path, row["start_line"], row["end_line"], row["page"]),
    )


def joined(chunks: Sequence[Chunk], *, repeat: bool = False) -> str:
    """Return the text that chunks were cut from, on its original lines.

    The text between two chunks, usually blank lines, becomes line ends. With `repeat`, the table
    header that the first chunk repeats is kept.
    """
    parts = list(_parts(chunks))
    if repeat and chunks:
        parts[0] = chunks[0].text
    return "".join(parts)


def lines_of(chunks: Sequence[Chunk]) -> list[int]:
    """Return the number in the file of each line of `joined(chunks)`, as exactly as chunks tell."""
    lines: list[int] = []
    fresh = True
    for chunk, part in zip(chunks, _parts(chunks), strict=True):
        rows = part.split("\n")
        last = max(chunk.end_line, lines[-1] if lines else 1)
        gap = max(0, len(rows) - 1 - _own(chunk).count("\n"))
        start = last - len(rows) + 1 if _is_exact(chunk) else chunk.start_line - gap
        own = [min(max(start + n, lines[-1] if lines else 1), last) for n in range(len(rows))]
        lines += own if fresh else own[1:]
        fresh = False
    return lines


def _is_exact(chunk: Chunk) -> bool:
    """Return whether each line of a chunk is one line of the file."""
    return _own(chunk).count("\n") == chunk.end_line - chunk.start_line


def _own(chunk: Chunk) -> str:
    # A table's repeated header comes before the chunk's own text.
    return chunk.text[max(0, len(chunk.text) - (chunk.end - chunk.start)) :]


def _parts(chunks: Sequence[Chunk]) -> Iterator[str]:
    """Yield what each chunk adds to those before it, with the text between them."""
    position = line = None
    for chunk in chunks:
        own = _own(chunk)
        if position is not None and line is not None:
            if chunk.start < position:
                own = own[position - chunk.start :]
            else:
                own = _between(chunk.start - position, chunk.start_line - line) + own
        yield own
        position = max(position or 0, chunk.end)
        line = max(line or 0, chunk.end_line)


def _between(characters: int, lines: int) -> str:
    """Return blank text for a gap of so many characters and lines between two chunks."""
    if lines > 0:
        return "\n" * min(lines, characters)
    return ("", " ")[characters] if characters < 2 else "\n\n"
