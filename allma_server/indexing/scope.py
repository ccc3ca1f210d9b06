"""Which folders may be indexed, and which files in them are indexed.

`ignore_rules.py` applies the ignore files. The names ignored here come on top, and no file inside a
workspace can include them again.
"""

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from allma_server._internal.path_text import actual
from allma_server._internal.workspace_files import status_of
from allma_server.errors import (
    FolderNotAllowed,
    NothingToIndex,
    PathNotFound,
)
from allma_server.indexing.folder_tree import MISSING, FolderTree
from allma_server.indexing.roots import check_exists, unreadable_root
from allma_server.secrets import FOLDERS, is_in_secret_folder, is_secret_file
from allma_server.types import (
    IGNORED_ENDINGS,
    IGNORED_FILES,
    IGNORED_FOLDERS,
    FileFacts,
    SeenFile,
    format_of,
    is_picture,
)

_SYSTEM = ("/bin /sbin /lib /lib32 /lib64 /boot /dev /proc /sys /run /etc /usr/bin /usr/sbin "
           "/usr/lib /usr/include /usr/share /var/lib /var/run /System /Library /Applications "
           "/private/etc /private/var/db").split()  # fmt: skip
_TOO_BROAD = (
    "/usr /usr/local /var /opt /home /root /Users /mnt /media /srv /tmp /private /private/var "
    "/Volumes /snap /nix /cores"
).split()
_WINDOWS_SYSTEM = ("windows", "program files", "program files (x86)", "programdata")


def approve(path: str, data_dir: Path) -> Path:
    """Return the real, absolute form of a path that may be indexed.

    Raises:
        PathNotFound: it does not exist.
        FolderNotAllowed: it is a root, a home, a system folder, or Allma's own data.
    """
    named = Path(actual(os.path.expanduser(path)))
    try:
        real = named.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as exc:
        raise PathNotFound(
            f"There is no file or folder at {path!r}.", "Give an absolute path that exists."
        ) from exc
    if (why := refusal_reason(real, data_dir)) is not None:
        raise FolderNotAllowed(
            f"{real} is not indexed: it is {why}.", "Choose a project or document folder inside it."
        )
    return real


def refusal_reason(real: Path, data_dir: Path) -> str | None:
    """Return why a folder may not be indexed, by its real path alone; it need not exist."""
    data_dir = data_dir.resolve()
    home = Path(os.path.expanduser("~")).resolve()
    if real == real.parent:
        return "the root of a file system"
    if real == home or real in home.parents:
        return "a home folder"
    if real == data_dir or data_dir in real.parents:
        return "Allma's own data directory"
    if str(real) in _TOO_BROAD:
        return "too broad a folder"
    if any(real == Path(system) or Path(system) in real.parents for system in _SYSTEM):
        return "a system folder"
    if sys.platform == "win32" and len(real.parts) > 1 and real.parts[1].lower() in _WINDOWS_SYSTEM:
        return "a system folder"
    if is_in_secret_folder(real):
        return "a folder of secrets"
    return None


def walk(
    root: Path,
    data_dir: Path,
    max_bytes: int,
    disks: dict[str, int] | None = None,
    may_be_read: Callable[[FileFacts], bool] | None = None,
) -> Iterator[SeenFile]:
    """Yield every file under `root` (or `root` itself, a file) that is not ignored.

    Ignore files that cannot be applied, folders that are nested too deeply and unreadable folders
    are included, with the reason. `disks` is filled with the device number of the root, and of each
    folder on another disk than its parent. `may_be_read` tells of which files it is known already,
    so that their names need no examination. Blocks; run it in a thread.

    Raises:
        PathNotFound: `root` does not exist.
        UnreadableDocument: it exists but cannot be read.
    """
    check_exists(root)
    if not root.is_dir():
        if (seen := inspect(root, max_bytes)) is not None:
            yield seen
        return
    tree = _open_tree(root, data_dir)
    yielded: set[str] = set()
    for seen in _files(tree, (), max_bytes, may_be_read):
        yielded.add(seen.file.path)
        yield seen
    for path, why in tree.rejected.items():
        if path not in yielded:
            yield SeenFile(facts_of(path), why)
    yield from _unreadable(tree)
    if disks is not None:
        disks |= tree.disks


def folders(root: Path, data_dir: Path) -> Iterator[str]:
    """Yield every folder under `root` that is not ignored, and `root` itself; blocks.

    Raises:
        UnreadableDocument: as `walk`.
    """
    if not root.is_dir():
        yield str(root.parent)
        return
    yield str(root)
    for visit in _open_tree(root, data_dir).visits():
        if visit.folder.path != str(root):
            yield visit.folder.path


def walk_part(
    root: Path, parts: Iterable[Path], data_dir: Path, max_bytes: int
) -> Iterator[SeenFile]:
    """Yield what a walk of `root` would yield of these files and folders inside it; blocks.

    Raises:
        UnreadableDocument: as `walk`.
    """
    check_exists(root)
    tree = _open_tree(root, data_dir) if root.is_dir() else None
    for part in parts:
        if part == root:
            yield from walk(root, data_dir, max_bytes)
        elif tree is not None and part.is_relative_to(root):
            yield from _files(tree, part.relative_to(root).parts, max_bytes)
    if tree is not None:
        yield from _unreadable(tree)


def _open_tree(root: Path, data_dir: Path) -> FolderTree:
    try:
        return FolderTree(str(root), IGNORED_FOLDERS | FOLDERS, os.path.realpath(data_dir))
    except (NothingToIndex, OSError) as exc:
        why = exc.message if isinstance(exc, NothingToIndex) else f"{exc.strerror}."
        raise unreadable_root(root, why) from exc


def _files(
    tree: FolderTree,
    names: Sequence[str],
    max_bytes: int,
    may_be_read: Callable[[FileFacts], bool] | None = None,
) -> Iterator[SeenFile]:
    for visit in tree.visits(*names):
        rejected, folder = tree.rejected, os.path.join(visit.folder.path, "")
        for name in visit.files:
            path = folder + name
            if (why := rejected.get(path)) is not None:
                yield SeenFile(facts_of(path), why)
                continue
            try:
                status = visit.folder.status(name)
            except OSError as exc:
                if exc.errno not in MISSING:
                    why = f"cannot be accessed: {(exc.strerror or str(exc)).lower()}"
                    yield SeenFile(facts_of(path), why, unreadable=True)
                continue
            if (seen := _seen_file(path, status, max_bytes, may_be_read)) is not None:
                yield seen


def _unreadable(tree: FolderTree) -> Iterator[SeenFile]:
    for path, why in tree.unreadable.items():
        yield SeenFile(facts_of(path), why, unreadable=True)


def inspect(path: Path, max_bytes: int) -> SeenFile | None:
    """Return a file as it is on the disk; None for a folder, an ignored name or a missing file."""
    try:
        return _seen_file(str(path), status_of(str(path)), max_bytes)
    except (NothingToIndex, OSError, ValueError):
        return None


def _seen_file(
    path: str,
    status: os.stat_result,
    max_bytes: int,
    may_be_read: Callable[[FileFacts], bool] | None = None,
) -> SeenFile | None:
    file = FileFacts(path, status.st_size, status.st_mtime_ns, status.st_ino)
    if may_be_read is not None and stat.S_ISREG(status.st_mode) and may_be_read(file):
        return SeenFile(file)
    name = os.path.basename(path)
    if name in IGNORED_FILES or name.endswith(IGNORED_ENDINGS) or stat.S_ISDIR(status.st_mode):
        return None
    return SeenFile(file, _reason_to_skip(path, status, max_bytes))


def facts_of(path: str) -> FileFacts:
    """Return the facts of a file or folder; zeros if it cannot be accessed."""
    with contextlib.suppress(NothingToIndex, OSError):
        status = status_of(path)
        return FileFacts(path, status.st_size, status.st_mtime_ns, status.st_ino)
    return FileFacts(path, 0, 0, 0)


def _reason_to_skip(path: str, status: os.stat_result, max_bytes: int) -> str | None:
    if stat.S_ISLNK(status.st_mode):
        return "a symbolic link; links are not followed"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if is_secret_file(path):
        return "looks like a secret; such files are never read"
    if format_of(path) is None and not is_picture(path):
        return f"a {Path(path).suffix.lower()} file, which has no text that Allma can read"
    if status.st_size == 0:
        return "empty"
    if status.st_size > max_bytes:
        size, limit = status.st_size / 1e6, max_bytes / 1e6
        return f"{size:.0f} MB, larger than the limit of {limit:.0f} MB (max_file_mb)"
    return None
