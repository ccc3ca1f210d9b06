import os
import shutil
import sys
from pathlib import Path

import pytest

from allma_server.errors import FolderNotAllowed, PathNotFound, UnreadableDocument
from allma_server.indexing.scope import approve, walk, walk_part

LIMIT = 1_000_000


def seen(root: Path) -> dict[str, str | None]:
    found = walk(root, root / "no-data-here", LIMIT)
    return {str(Path(s.file.path).relative_to(root)): s.reason for s in found}


def write(root: Path, *names: str, text: str = "words\n") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_nested_gitignore_files_with_negation_are_honoured(tmp_path: Path) -> None:
    write(tmp_path, "a.log", "keep.log", "sub/b.log", "sub/deep/c.txt", "sub/deep/d.txt")
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\n")
    (tmp_path / "sub" / ".gitignore").write_text("deep/*\n!deep/d.txt\n")
    assert set(seen(tmp_path)) == {".gitignore", "keep.log", "sub/.gitignore", "sub/deep/d.txt"}


def test_rules_of_parent_folders_apply_to_a_workspace_inside_a_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("drafts/\n")
    write(tmp_path, "project/drafts/a.md", "project/b.md")
    assert set(seen(tmp_path / "project")) == {"b.md"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs folders opened from each other")
def test_folders_too_deep_to_open_are_not_entered(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("a")
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=folder)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=folder)
        os.close(os.open("deep.md", os.O_CREAT | os.O_WRONLY, dir_fd=inner))
        os.close(folder)
        folder = inner
    os.close(folder)
    rows = list(walk(tmp_path, tmp_path / "data", 1000))
    part = list(walk_part(tmp_path, [tmp_path / ("d" * 200)], tmp_path / "data", 1000))
    seen = [row.file.path for row in rows]
    shown = [path for path in seen if os.path.lexists(path)]
    [deepest] = [row for row in rows if os.path.basename(row.file.path) == "d" * 200]
    shutil.rmtree(tmp_path / ("d" * 200))  # which pytest cannot, by its path
    assert str(tmp_path / "a.md") in seen and len(seen) > 10
    assert shown == seen
    assert deepest.reason is not None and "too deep" in deepest.reason and deepest in part


def test_allmaignore_excludes_files(tmp_path: Path) -> None:
    write(tmp_path, "public.md", "private/diary.md")
    (tmp_path / ".allmaignore").write_text("private/\n")
    assert set(seen(tmp_path)) == {"public.md"}


def test_a_workspace_cannot_bring_ignored_folders_back(tmp_path: Path) -> None:
    write(tmp_path, "node_modules/x/index.js", ".venv/lib/a.py", "src/a.py")
    (tmp_path / ".allmaignore").write_text("!node_modules/\n!.venv/\n")
    assert set(seen(tmp_path)) == {"src/a.py"}


@pytest.mark.invariant(12)
@pytest.mark.parametrize(
    "name", [".env", ".env.local", "server.pem", "id_rsa", ".netrc", "prod.tfvars", "secrets.yaml"]
)
def test_files_that_look_like_secrets_are_listed_but_never_read(tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    reason = seen(tmp_path)[name]
    assert reason is not None and "secret" in reason


def test_unreadable_files_are_listed_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, "big.txt", text="x" * (LIMIT + 1))
    write(tmp_path, "song.mp3", "real.md")
    (tmp_path / "empty.md").touch()
    (tmp_path / "link.md").symlink_to(tmp_path / "real.md")
    reasons = seen(tmp_path)
    assert reasons["real.md"] is None
    assert "larger than the limit" in (reasons["big.txt"] or "")
    assert ".mp3" in (reasons["song.mp3"] or "")
    assert reasons["empty.md"] == "empty"
    assert "symbolic link" in (reasons["link.md"] or "")


@pytest.mark.invariant(12)
def test_a_linked_folder_is_not_entered(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write(outside, "secret-plans.md")
    root = tmp_path / "root"
    write(root, "a.md")
    (root / "way-out").symlink_to(outside)
    (root / "loop").symlink_to(root)
    assert {name for name, reason in seen(root).items() if reason is None} == {"a.md"}


def test_the_data_directory_is_never_scanned(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "data/allma.txt")
    paths = {Path(s.file.path).name for s in walk(tmp_path, tmp_path / "data", LIMIT)}
    assert paths == {"a.md"}


def test_a_single_file_can_be_a_workspace(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b.md")
    paths = [s.file.path for s in walk(tmp_path / "a.md", tmp_path / "data", LIMIT)]
    assert paths == [str(tmp_path / "a.md")]


@pytest.mark.invariant(12)
@pytest.mark.parametrize("path", ["/", "/etc", "/usr", "/proc/self", "~", "/home"])
def test_folders_that_are_too_broad_or_the_system_s_are_refused(tmp_path: Path, path: str) -> None:
    if not Path(path).expanduser().exists():
        path = "/"
    with pytest.raises(FolderNotAllowed) as refused:
        approve(path, tmp_path)
    assert refused.value.hint


@pytest.mark.invariant(12)
def test_the_data_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "logs").mkdir(parents=True)
    with pytest.raises(FolderNotAllowed, match="data directory"):
        approve(str(tmp_path / "data" / "logs"), tmp_path / "data")


def test_a_path_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PathNotFound, match="no file or folder"):
        approve(str(tmp_path / "nowhere"), tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs links without more rights")
def test_a_workspace_that_became_a_link_is_not_treated_as_empty(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, "a.md")
    root.rename(tmp_path / "moved")
    root.symlink_to(tmp_path / "moved")
    for look in (
        lambda: list(walk(root, tmp_path / "data", LIMIT)),
        lambda: list(walk_part(root, [root / "a.md"], tmp_path / "data", LIMIT)),
    ):
        with pytest.raises(UnreadableDocument, match="cannot be scanned.*link"):
            look()
