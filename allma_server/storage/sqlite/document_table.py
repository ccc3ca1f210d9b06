"""All indexed documents in memory, to choose those that a search covers.

The table is read once, at the first search with a filter, and follows each transaction afterwards:
a saved file costs one row, not all of them. A filter that was used before is only applied to the
documents that changed since.
"""

import asyncio
import hashlib
import os
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from allma_server._internal.path_text import shown
from allma_server._internal.tasks import completed
from allma_server.storage.path_terms import folder_filter, format_filter, glob_filter
from allma_server.storage.sqlite import rows
from allma_server.storage.sqlite.database import Database
from allma_server.storage.sqlite.globs import PathGlobs
from allma_server.types import DocumentSet, TermFilter

LOAD_ROWS = 10_000
"""Rows read in one step, so that other queries need not wait long."""

CACHED_FILTERS = 32
"""Filters whose documents are remembered."""

_ROWS = "SELECT id, path, format, chunks FROM documents WHERE state = 'indexed' AND"


@dataclass(frozen=True, slots=True)
class DocumentFilter:
    """Which documents: inside one of `folders`, matching `globs`, of one of `formats`.

    An empty tuple of folders or globs, or None, is no condition.
    """

    folders: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    formats: frozenset[str] | None = None


_COLUMNS = np.dtype(
    [
        ("id", np.int64),
        ("chunks", np.int64),
        ("folder", np.int32),
        ("name", np.int32),
        ("format", np.int32),
    ]
)
"""The rows of documents, ascending by id; the last three are numbers of texts."""

_Documents = NDArray[np.void]


class _Texts:
    """Texts by number, each once: folders, file names and formats repeat."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """Return the number of a text, which may be a new one."""
        number = self._numbers.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number

    def known(self, text: str) -> int:
        """Return the number of a text; -1 if no document has it."""
        return self._numbers.get(text, -1)


@dataclass(slots=True)
class _Matched:
    """The documents that a filter matched, and the ids of those that changed since."""

    found: DocumentSet
    globs: PathGlobs
    changed: set[int] = field(default_factory=set[int])


class DocumentTable:
    """Chooses documents by folder, glob and format; one for each database."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._updating = asyncio.Lock()
        self._documents: _Documents | None = None
        self._all_chunks = 0
        self._folders, self._names, self._formats = _Texts(), _Texts(), _Texts()
        self._workspaces: tuple[str, ...] = ()
        self._matched: dict[DocumentFilter, _Matched] = {}
        self._changed: set[int] = set()
        self._changes: dict[int, int] = {}
        self._last_change = 0
        self._workspaces_changed = True
        database.document_listeners.append(self._note)

    async def select(self, wanted: DocumentFilter) -> DocumentSet:
        """Return the documents that match a filter, as they are now.

        Raises:
            InvalidArgument: a glob is not a pattern.
        """
        async with self._updating:
            documents = await self._updated()
            known = self._matched.pop(wanted, None)
            if known is None or known.changed:
                known = await asyncio.to_thread(self._match, wanted, documents, known)
            elif known.found.all_chunks != self._all_chunks:
                found = replace(known.found, all_chunks=self._all_chunks)
                known = _Matched(found, known.globs)
            # The filter used last stays longest: a dict keeps the order of insertion.
            self._matched[wanted] = known
            if len(self._matched) > CACHED_FILTERS:
                self._matched.pop(next(iter(self._matched)))
            return known.found

    async def state(self, wanted: DocumentFilter) -> tuple[bytes, int]:
        """Return a value that differs once a document that matches a filter was changed.

        It holds in this process: the documents, and the number of the last change to one of them.

        Raises:
            InvalidArgument: a glob is not a pattern.
        """
        found = await self.select(wanted)
        changed = np.fromiter(self._changes, np.int64)
        numbers = np.fromiter(self._changes.values(), np.int64)
        last = int(numbers[found.contains(changed)].max(initial=0))
        return hashlib.blake2b(found.documents.tobytes()).digest(), last

    def _note(self, documents: Collection[int], *, workspaces: bool) -> None:
        self._last_change += 1
        self._changes.update(dict.fromkeys(documents, self._last_change))
        self._changed.update(documents)
        self._workspaces_changed |= workspaces

    async def _updated(self) -> _Documents:
        """Return the documents as they are now; only what changed is read."""
        documents = self._documents
        if documents is None:
            # What changes during the load is read again below.
            self._changed.clear()
            documents = await self._load()
        elif not (self._changed or self._workspaces_changed):
            return documents
        changed, workspaces = self._changed, self._workspaces_changed
        self._changed, self._workspaces_changed = set(), False
        try:
            if workspaces:
                found = await self._db.rows("SELECT path FROM workspaces ORDER BY path")
                self._workspaces = tuple(row["path"] for row in found)
                # Globs are relative to them.
                self._matched.clear()
            if changed:
                found = await self._db.rows(
                    f"{_ROWS} id IN (SELECT value FROM json_each(?)) ORDER BY id",
                    (rows.as_json(changed),),
                )
                documents = await completed(
                    asyncio.to_thread(self._replaced, documents, changed, found)
                )
        except BaseException:
            self._note(changed, workspaces=workspaces)
            raise
        self._documents, self._all_chunks = documents, int(documents["chunks"].sum())
        for each in self._matched.values():
            each.changed |= changed
        return documents

    async def _load(self) -> _Documents:
        parts, last = [np.empty(0, _COLUMNS)], 0
        while found := await self._db.rows(
            f"{_ROWS} id > ? ORDER BY id LIMIT ?", (last, LOAD_ROWS)
        ):
            last = found[-1]["id"]
            parts.append(await asyncio.to_thread(self._columns, found))
        return np.concatenate(parts)

    def _columns(self, found: Sequence[sqlite3.Row]) -> _Documents:
        documents = np.empty(len(found), _COLUMNS)
        for place, (document_id, path, format, chunks) in enumerate(map(tuple, found)):
            folder, name = os.path.split(path)
            documents[place] = (
                document_id,
                chunks,
                self._folders.number(folder),
                self._names.number(name),
                self._formats.number(format),
            )
        return documents

    def _replaced(
        self, documents: _Documents, changed: Collection[int], found: Sequence[sqlite3.Row]
    ) -> _Documents:
        """Return the documents without the changed ones, and with these rows instead.

        Rows of documents that stay are replaced in place: most changes are saves of known files.
        """
        current = self._columns(found)
        ids: NDArray[np.int64] = documents["id"]
        was = _places(ids, np.fromiter(changed, np.int64))
        known = np.isin(current["id"], ids[was])
        documents[_places(ids, current["id"][known])] = current[known]
        gone = was[~np.isin(ids[was], current["id"])]
        if len(gone):
            documents = np.delete(documents, gone)
        if known.all():
            return documents
        new = current[~known]
        return np.insert(documents, documents["id"].searchsorted(new["id"]), new)

    def _match(
        self, wanted: DocumentFilter, documents: _Documents, known: _Matched | None
    ) -> _Matched:
        """Return the documents of a filter; what did not change is not compared again."""
        globs = known.globs if known is not None else PathGlobs(wanted.globs)
        if known is None:
            ids = documents["id"][self._matching(wanted, globs, documents)]
            filters = self._term_filters(wanted, globs)
        else:
            changed = np.fromiter(known.changed, np.int64)
            some = documents[_places(documents["id"], changed)]
            some = some[self._matching(wanted, globs, some)]
            kept = np.delete(known.found.documents, _places(known.found.documents, changed))
            ids = np.insert(kept, kept.searchsorted(some["id"]), some["id"])
            filters = known.found.filters
        chunks = int(documents["chunks"][documents["id"].searchsorted(ids)].sum())
        return _Matched(DocumentSet(ids, chunks, self._all_chunks, filters), globs)

    def _matching(
        self, wanted: DocumentFilter, globs: PathGlobs, documents: _Documents
    ) -> NDArray[np.bool_]:
        """Return which of these documents match."""
        mask = np.ones(len(documents), np.bool_)
        if wanted.formats is not None:
            known = [self._formats.known(each) for each in wanted.formats]
            mask &= np.isin(documents["format"], known)
        if wanted.folders:
            mask &= self._inside(wanted.folders, documents)
        if globs:
            matched = GlobMatches(globs, self._folders.texts, self._workspaces)
            for place in mask.nonzero()[0].tolist():
                name = self._names.texts[int(documents["name"][place])]
                mask[place] = matched.matches(int(documents["folder"][place]), name)
        return mask

    def _inside(self, folders: Iterable[str], documents: _Documents) -> NDArray[np.bool_]:
        places = [rows.stored_path(folder).rstrip(os.sep) for folder in folders]
        paths = self._folders.texts
        of_documents: NDArray[np.int32] = documents["folder"]
        below = np.zeros(len(paths), np.bool_)
        present: list[int] = np.unique(of_documents).tolist()
        for number in present:
            below[number] = any(_is_below(paths[number], place) for place in places)
        mask = below[of_documents]
        for place in places:  # it may be a file
            folder, name = os.path.split(place)
            is_there = documents["name"] == self._names.known(name)
            mask |= (of_documents == self._folders.known(folder)) & is_there
        return mask

    def _term_filters(self, wanted: DocumentFilter, globs: PathGlobs) -> tuple[TermFilter, ...]:
        found: list[TermFilter] = []
        if wanted.folders:
            found.append(folder_filter(map(rows.stored_path, wanted.folders)))
        if wanted.formats is not None:
            found.append(format_filter(wanted.formats))
        if globs:
            found.append(glob_filter(globs.included, globs.excluded, self._workspaces))
        return tuple(found)


def _places(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where those of the wanted ids that are there are; `ids` are ascending."""
    wanted = np.sort(wanted)
    wanted = wanted[: wanted.searchsorted(ids[-1], "right")] if len(ids) else wanted[:0]
    places = ids.searchsorted(wanted)
    return places[ids[places] == wanted]


class GlobMatches:
    """Globs applied to documents by the number of their folder."""

    def __init__(self, globs: PathGlobs, folders: Sequence[str], workspaces: Sequence[str]) -> None:
        self._globs = globs
        self._folders = folders
        self._workspaces = sorted(workspaces, key=len, reverse=True)
        self._beginnings: dict[int, tuple[str, ...]] = {}
        self._absolute = any(
            pattern.startswith(_shown(each))
            for pattern in (*globs.included, *globs.excluded)
            for each in workspaces
        )

    def matches(self, folder: int, name: str) -> bool:
        """Return whether a document matches, by any of its relative paths."""
        begun = self._beginnings.get(folder)
        if begun is None:
            begun = self._beginnings[folder] = self._relative(self._folders[folder])
        name = _shown(name)
        return self._globs.matches(*(beginning + name for beginning in begun))

    def _relative(self, folder: str) -> tuple[str, ...]:
        """Return a folder relative to its workspace, and with the workspace's own name in front.

        So `src/**` also matches when the folder src itself was indexed. A file that is a workspace
        itself has its name alone.
        """
        found = [folder.lstrip(os.sep)] if self._absolute else []
        for workspace in self._workspaces:
            if _is_below(folder, workspace.rstrip(os.sep)):
                root = workspace.rstrip(os.sep)
                above = os.path.dirname(root).rstrip(os.sep)
                found += [folder[len(root) + 1 :], folder[len(above) + 1 :]]
                break
        else:
            found.append("")
        return tuple(dict.fromkeys(_as_beginning(each) for each in found))


def _as_beginning(folder: str) -> str:
    name = _shown(folder).rstrip(os.sep)
    return f"{name}{os.sep}" if folder else ""


def _shown(stored: str) -> str:
    return shown(rows.shown_path(stored))


def _is_below(folder: str, place: str) -> bool:
    """Return whether a folder is this one or inside it; `place` does not end with a separator."""
    return folder == place or folder.startswith(place + os.sep)
