"""What has changed: the ledger against the disk. Pure, but for the hashes it asks for."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import PurePath

from allma_server.errors import InputRefused, LimitReached, NothingToIndex
from allma_server.types import (
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
UNDECIDED = frozenset({NOT_OPENED, NOT_READABLE})
"""Codes of reasons that are not in the file itself: left out by its name, kind or size, by rules
that were others then; or closed to this user. Whether that still holds, a look tells.
"""


LIMITS = frozenset({LimitReached.code, InputRefused.code})
"""Codes of reasons that another limit, a quiet machine or another embedder may take away."""


def plan(
    known: Sequence[Document],
    seen: Iterable[SeenFile],
    content_hash: Callable[[str], str],
    *,
    retry_failed: bool = False,
    retry_limited: bool = False,
    reread: bool = False,
) -> list[Change]:
    """One change for every known document and every seen file.

    A new file that holds what a vanished one held is a Move. `content_hash` reads a file; it is
    called only where the sizes make a move possible. `retry_failed` tries failed files again
    although they have not changed, `retry_limited` those that a limit stopped; `reread` looks into
    every file again. What is indexed in a closed folder is kept: it may still be there.
    """
    by_path = {document.path: document for document in known}
    fresh: list[FileFacts] = []
    changes: list[Change] = []
    closed: set[str] = set()
    for entry in seen:
        document = by_path.pop(entry.file.path, None)
        if entry.closed:
            closed.add(entry.file.path)
        if entry.reason is not None:
            changes.append(_skipped(entry, entry.reason, document))
        elif document is None:
            fresh.append(entry.file)
        elif _unchanged(document, entry.file) and not (
            reread
            or document.reason_code in UNDECIDED
            or (document.state == "failed" and retry_failed)
            or (document.reason_code in LIMITS and retry_limited)
        ):
            changes.append(Keep(document))
        else:
            changes.append(Update(entry.file, document))
    kept = {path for path in by_path if _is_in(path, closed)}
    changes.extend(Keep(by_path.pop(path)) for path in kept)
    gone = list(by_path.values())
    moves = {move.file.path: move for move in _moves(gone, fresh, content_hash)}
    moved = {move.known.id for move in moves.values()}
    changes.extend(moves.get(file.path) or Add(file) for file in fresh)
    changes.extend(Remove(document) for document in gone if document.id not in moved)
    return changes


def _skipped(entry: SeenFile, reason: str, known: Document | None) -> Change:
    if known is not None:
        if entry.closed and known.state == "indexed":
            return Keep(known)
        if (known.state, known.reason) == ("failed" if entry.closed else "skipped", reason):
            return Keep(known)
    return Skip(entry.file, reason, known, entry.closed)


def _is_in(path: str, folders: Collection[str]) -> bool:
    return bool(folders) and any(str(parent) in folders for parent in PurePath(path).parents)


def _unchanged(document: Document, file: FileFacts) -> bool:
    # The inode too: archives are unpacked with one time for all files, whatever they hold.
    known = (document.size, document.mtime_ns, document.inode)
    return known == (file.size, file.mtime_ns, file.inode)


def _moves(
    gone: Sequence[Document], fresh: Sequence[FileFacts], content_hash: Callable[[str], str]
) -> Iterator[Move]:
    candidates = [document for document in gone if document.state == "indexed"]
    sizes = {document.size for document in candidates}
    for file in fresh:
        if file.size not in sizes or not candidates:
            continue
        try:
            digest = content_hash(file.path)
        except (NothingToIndex, OSError):
            continue  # the pipeline will meet the same file and say what is wrong with it
        same = [
            document
            for document in candidates
            if document.content_hash == digest and _same_kind(document.path, file.path)
        ]
        if same:
            known = max(same, key=lambda document: document.inode == file.inode)
            candidates.remove(known)
            yield Move(file, known)


def _same_kind(old: str, new: str) -> bool:
    # Another suffix may mean another reader, so the same bytes may give other chunks.
    return PurePath(old).suffix.lower() == PurePath(new).suffix.lower()
