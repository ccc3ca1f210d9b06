from dataclasses import replace

from allma_server.indexing.plan import plan
from allma_server.types import (
    Add,
    Document,
    FileFacts,
    Keep,
    Move,
    Remove,
    SeenFile,
    Skip,
    Update,
)

HASHES = {"/w/a.md": "A", "/w/b.md": "B", "/w/c.md": "A"}


def file(path: str, size: int = 10, mtime: int = 1, inode: int = 1) -> FileFacts:
    return FileFacts(path, size, mtime, inode)


def document(path: str, **changes: object) -> Document:
    known = Document(
        id=hash(path) % 1000,
        workspace_id=1,
        path=path,
        format="markdown",
        size=10,
        mtime_ns=1,
        inode=1,
        content_hash=HASHES.get(path, "?"),
        state="indexed",
        reason=None,
        title="",
        metadata={},
        chunks=1,
        indexed_at="",
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def test_an_unchanged_file_is_not_read() -> None:
    known = document("/w/a.md")

    def unread(path: str) -> str:
        raise AssertionError(f"{path} was read")

    assert plan([known], [SeenFile(file("/w/a.md"))], unread) == [Keep(known)]


def test_a_different_file_of_the_same_size_and_time_is_changed() -> None:
    known = document("/w/a.md")
    unpacked = file("/w/a.md", inode=2)
    assert plan([known], [SeenFile(unpacked)], HASHES.__getitem__) == [Update(unpacked, known)]


def test_new_changed_and_deleted_files_are_distinguished() -> None:
    a, b = document("/w/a.md"), document("/w/b.md", size=99)
    seen = [SeenFile(file("/w/a.md", mtime=2)), SeenFile(file("/w/c.md"))]
    assert plan([a, b], seen, HASHES.__getitem__) == [
        Update(seen[0].file, a),
        Add(seen[1].file),
        Remove(b),
    ]


def test_a_renamed_file_moves() -> None:
    a = document("/w/a.md")
    assert plan([a], [SeenFile(file("/w/c.md"))], HASHES.__getitem__) == [Move(file("/w/c.md"), a)]


def test_a_changed_suffix_is_not_a_move() -> None:
    a = document("/w/a.md")
    changes = plan([a], [SeenFile(file("/w/a.txt"))], lambda path: "A")
    assert changes == [Add(file("/w/a.txt")), Remove(a)]


def test_of_two_equal_deleted_files_the_one_with_the_same_inode_moves() -> None:
    a, c = document("/w/a.md", inode=5), document("/w/c.md", inode=7)
    [moved, removed] = plan([a, c], [SeenFile(file("/w/new.md", inode=7))], lambda path: "A")
    assert moved == Move(file("/w/new.md", inode=7), c)
    assert removed == Remove(a)


def test_a_skipped_file_is_recorded_once() -> None:
    secret = SeenFile(file("/w/.env"), "looks like a secret")
    assert plan([], [secret], HASHES.__getitem__) == [Skip(secret.file, "looks like a secret")]
    known = document("/w/.env", state="skipped", reason="looks like a secret")
    assert plan([known], [secret], HASHES.__getitem__) == [Keep(known)]


def test_a_failed_file_is_retried_only_on_request_or_change() -> None:
    failed = document("/w/a.md", state="failed", reason="damaged")
    seen = [SeenFile(file("/w/a.md"))]
    assert plan([failed], seen, HASHES.__getitem__) == [Keep(failed)]
    again = plan([failed], seen, HASHES.__getitem__, retry_failed=True)
    assert again == [Update(seen[0].file, failed)]
