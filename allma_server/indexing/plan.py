"""Plan the changes: compare the known documents with the files on the disk.

The functions are pure, except for the hashes that they request.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import PurePath

from allma_server.errors import InputRefused, LimitReached, NothingToIndex
from allma_server.types import (
    FAILED_PAGES,
    SCANNED,
    Add,
    Change,
    Document,
    FileFacts,
    Keep,
    Move,
    Remove,
    SeenFile,
    Skip,
    Update,
)

NOT_OPENED, NOT_READABLE = "not_opened", "not_readable"
_RECHECKED_CODES = frozenset({NOT_OPENED, NOT_READABLE})
"""Codes of reasons that do not come from the content: the name, kind or size, under former rules,
or missing permission. Each scan decides again whether they still apply.
"""

_LIMIT_CODES = frozenset({LimitReached.code, InputRefused.code})
"""Codes of reasons that may disappear with another limit, an idle machine or another embedder."""


def plan(
    known: Sequence[Document],
    files: Iterable[SeenFile],
    content_hash: Callable[[str], str],
    *,
    retry_failed: bool = False,
    retry_limited: bool = False,
    retry_scanned: bool = False,
    reread: bool = False,
) -> list[Change]:
    """Return one change for every known document and every file.

    A new file with the content of a missing one is a Move. `content_hash` reads a file; it is
    called only where the sizes make a move possible. `retry_failed` reads unchanged files again
    that have failed at least in part, `retry_limited` those that a limit has stopped,
    `retry_scanned` those with text to recognise, `reread` all.
    Documents in an unreadable folder are kept, because their files may still be there.
    """
    by_path = {document.path: document for document in known}
    new: list[FileFacts] = []
    changes: list[Change] = []
    unreadable: set[str] = set()
    for seen in files:
        document = by_path.pop(seen.file.path, None)
        if seen.unreadable:
            unreadable.add(seen.file.path)
        if seen.reason is not None:
            changes.append(_skip(seen, seen.reason, document))
        elif document is None:
            new.append(seen.file)
        elif is_unchanged(document, seen.file) and not (
            reread
            or document.reason_code in _RECHECKED_CODES
            or (_has_failed(document) and retry_failed)
            or (document.reason_code in _LIMIT_CODES and retry_limited)
            or (SCANNED in document.metadata and retry_scanned)
        ):
            changes.append(Keep(document))
        else:
            changes.append(Update(seen.file, document))
    kept = {path for path in by_path if _is_in(path, unreadable)}
    changes.extend(Keep(by_path.pop(path)) for path in kept)
    missing = list(by_path.values())
    moves = {move.file.path: move for move in _find_moves(missing, new, content_hash)}
    moved = {move.known.id for move in moves.values()}
    changes.extend(moves.get(file.path) or Add(file) for file in new)
    changes.extend(Remove(document) for document in missing if document.id not in moved)
    return changes


def _skip(seen: SeenFile, reason: str, known: Document | None) -> Change:
    if known is not None:
        if seen.unreadable and known.state == "indexed":
            return Keep(known)
        if (known.state, known.reason) == ("failed" if seen.unreadable else "skipped", reason):
            return Keep(known)
    return Skip(seen.file, reason, known, seen.unreadable)


def _has_failed(document: Document) -> bool:
    in_part = document.reason_code == InputRefused.code or FAILED_PAGES in document.metadata
    return document.state == "failed" or in_part


def _is_in(path: str, folders: Collection[str]) -> bool:
    return bool(folders) and any(str(parent) in folders for parent in PurePath(path).parents)


def is_unchanged(document: Document, file: FileFacts) -> bool:
    """Return whether a file is as it was when it was read, by its size, time and inode."""
    # The inode too: archives unpack all files with the same time.
    known = (document.size, document.mtime_ns, document.inode)
    return known == (file.size, file.mtime_ns, file.inode)


def _find_moves(
    missing: Sequence[Document], new: Sequence[FileFacts], content_hash: Callable[[str], str]
) -> Iterator[Move]:
    candidates = [document for document in missing if document.state == "indexed"]
    sizes = {document.size for document in candidates}
    for file in new:
        if file.size not in sizes or not candidates:
            continue
        try:
            digest = content_hash(file.path)
        except (NothingToIndex, OSError):
            continue  # the pipeline reads the same file and records the reason
        same = [
            document
            for document in candidates
            if document.content_hash == digest and _has_same_suffix(document.path, file.path)
        ]
        if same:
            known = max(same, key=lambda document: document.inode == file.inode)
            candidates.remove(known)
            yield Move(file, known)


def _has_same_suffix(old: str, new: str) -> bool:
    # Another suffix may mean another reader, and so other chunks for the same bytes.
    return PurePath(old).suffix.lower() == PurePath(new).suffix.lower()
