"""Which ignore files are applied, by their owner and type."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from allma_server.indexing.scope import folders, walk, walk_part

LIMIT = 1_000_000


def seen(root: Path) -> dict[str, str | None]:
    found = walk(root, root / "no-data-here", LIMIT)
    return {os.path.relpath(s.file.path, root): s.reason for s in found}


def write(root: Path, *names: str, text: str = "words\n") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "protocol.file.allow=always")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def repository(folder: Path, *names: str) -> Path:
    write(folder, *names)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without settings for git."""
    home = tmp_path_factory.mktemp("git-home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return home


@pytest.fixture
def foreign() -> Callable[[Path], None]:
    """Gives a file to another user, where the tests may."""
    if sys.platform == "win32" or os.geteuid() != 0:
        pytest.skip("only the administrator can give files away")
    return lambda path: os.chown(path, 12345, 12345)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _large(path: Path) -> None:
    path.write_bytes(b"*.md\n" * 300_000)


def _many_rules(path: Path) -> None:
    path.write_bytes(b"*?\n" * 20_000)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("make", [_pipe, _device, _large, _many_rules])
@pytest.mark.parametrize(
    "name", [".gitignore", ".ignore", ".allmaignore", "sub/.gitignore", ".git/info/exclude"]
)
def test_an_unusable_ignore_file_is_reported_and_does_not_stop_indexing(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    write(tmp_path, "a.md", "sub/b.md", ".git/HEAD")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    make(tmp_path / name)
    found = seen(tmp_path)
    assert found["a.md"] is None and found["sub/b.md"] is None
    assert "rules are not applied" in (found[name] or "")


def test_an_ignore_file_of_another_user_is_reported_and_not_applied(
    tmp_path: Path, foreign: Callable[[Path], None]
) -> None:
    write(tmp_path, "a.md")
    (tmp_path / ".gitignore").write_text("*.md\n")
    foreign(tmp_path / ".gitignore")
    found = seen(tmp_path)
    assert found["a.md"] is None
    assert "another user" in (found[".gitignore"] or "")


def test_ignore_files_of_the_workspace_s_owner_are_applied(
    tmp_path: Path, foreign: Callable[[Path], None]
) -> None:
    write(tmp_path, "a.md", "b.md")
    (tmp_path / ".gitignore").write_text("a.md\n")
    foreign(tmp_path / ".gitignore")
    foreign(tmp_path)
    assert "a.md" not in seen(tmp_path)


def test_ignore_files_above_a_workspace_outside_a_repository_are_not_applied(
    tmp_path: Path,
) -> None:
    write(tmp_path, "project/a.md")
    for name in (".gitignore", ".ignore", ".allmaignore"):
        (tmp_path / name).write_text("*.md\n")
    assert set(seen(tmp_path / "project")) == {"a.md"}


def test_a_surrounding_repository_of_another_user_is_not_applied(
    tmp_path: Path, foreign: Callable[[Path], None]
) -> None:
    write(tmp_path, "project/a.md")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("*.md\n")
    foreign(tmp_path / ".git")
    assert set(seen(tmp_path / "project")) == {"a.md"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_pipe_as_the_surrounding_repository_s_ignore_file_is_ignored(tmp_path: Path) -> None:
    write(tmp_path, "project/a.md")
    (tmp_path / ".git").mkdir()
    os.mkfifo(tmp_path / ".gitignore")
    found = seen(tmp_path / "project")
    assert found["a.md"] is None
    assert "rules are not applied" in (found["../.gitignore"] or "")


def test_the_rules_of_a_repository_apply_at_any_depth(tmp_path: Path) -> None:
    repository(tmp_path, "a/b/c/keep.md", "a/b/c/drop.md", "a/b/c/x.log")
    (tmp_path / ".gitignore").write_text("/a/b/c/drop.md\n")
    (tmp_path / ".git" / "info" / "exclude").write_text("*.log\n")
    assert set(seen(tmp_path / "a" / "b" / "c")) == {"keep.md"}


def test_a_repository_inside_another_has_its_own_rules(tmp_path: Path) -> None:
    repository(tmp_path, "a.md", "a.txt")
    repository(tmp_path / "inner", "b.md", "b.txt")
    (tmp_path / ".gitignore").write_text("*.txt\n")
    (tmp_path / ".allmaignore").write_text("b.md\n")
    assert {n for n in seen(tmp_path) if not n.startswith(".")} == {"a.md", "inner/b.txt"}


def test_the_user_s_excludes_for_git_are_honoured(tmp_path: Path, home: Path) -> None:
    write(tmp_path, "a.md", "a.swap")
    (home / "excludes").write_text("*.swap\n")
    (home / ".gitconfig").write_text("[core]\n\texcludesFile = ~/excludes\n")
    assert set(seen(tmp_path)) == {"a.md"}


def test_a_linked_ignore_file_is_ignored_as_by_git(tmp_path: Path) -> None:
    write(tmp_path, "a.md")
    (tmp_path / "rules").write_text("*.md\n")
    (tmp_path / ".gitignore").symlink_to("rules")
    assert "rules are not applied" in (seen(tmp_path)[".gitignore"] or "")
    assert "a.md" in seen(tmp_path)


# --- working trees --------------------------------------------------------------------------------


def test_linked_worktrees_inside_a_workspace_are_excluded(tmp_path: Path) -> None:
    repository(tmp_path, "sea.md")
    git(tmp_path, "worktree", "add", "-q", ".agent/worktrees/x")
    assert set(seen(tmp_path)) == {"sea.md"}
    inside = tmp_path / ".agent" / "worktrees" / "x" / "sea.md"
    assert list(walk_part(tmp_path, [inside], tmp_path / "data", LIMIT)) == []
    assert str(inside.parent) not in list(folders(tmp_path, tmp_path / "data"))


def test_a_linked_worktree_beside_its_repository_is_excluded(tmp_path: Path) -> None:
    repository(tmp_path / "project", "sea.md")
    git(tmp_path / "project", "worktree", "add", "-q", "../project-fix")
    assert set(seen(tmp_path)) == {"project/sea.md"}


def test_a_folder_of_worktrees_alone_is_indexed(tmp_path: Path) -> None:
    repository(tmp_path / "project", "sea.md")
    git(tmp_path / "project", "worktree", "add", "-q", "../work/fix")
    assert set(seen(tmp_path / "work")) == {"fix/sea.md"}


def test_a_linked_worktree_can_be_a_workspace_with_the_excludes_of_its_repository(
    tmp_path: Path,
) -> None:
    main = repository(tmp_path / "project", "sea.md", "notes.md")
    (main / ".git" / "info" / "exclude").write_text("notes.md\n")
    git(main, "worktree", "add", "-q", "../fix")
    git(main, "worktree", "add", "-q", "../fix/inner")
    assert set(seen(tmp_path / "fix")) == {"sea.md"}


def test_submodules_are_indexed_with_their_own_excludes(tmp_path: Path) -> None:
    repository(tmp_path / "library", "moon.md", "tides.md")
    main = repository(tmp_path / "project", "sea.md")
    git(main, "submodule", "add", "-q", str(tmp_path / "library"), "library")
    (main / ".git" / "modules" / "library" / "info" / "exclude").write_text("tides.md\n")
    assert set(seen(main)) == {".gitmodules", "sea.md", "library/moon.md"}


@pytest.mark.parametrize("text", ["", "gitdir:", "gitdir: ../../nowhere", "words" * 10_000])
def test_a_git_file_without_a_repository_is_ignored(tmp_path: Path, text: str) -> None:
    write(tmp_path, "a.md", "sub/b.md")
    write(tmp_path, "sub/.git", ".git", text=text)
    assert set(seen(tmp_path)) == {"a.md", "sub/b.md"}


def test_a_tree_deeper_than_the_descriptor_limit_is_scanned(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(900):
        folder = folder / "d"
        folder.mkdir()
    (folder / "a.md").write_text("words")
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    assert [Path(name).name for name in seen(tmp_path)] == ["a.md"]
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before
