"""Which folders may be indexed, and which files in them are seen.

`ignore_rules.py` says which ignore files are honoured. Allma's own rules come on top and cannot be
widened from inside a workspace.
"""

import contextlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from allma_server._internal.path_text import actual
from allma_server._internal.workspace_files import status_of
from allma_server.errors import (
    FolderNotAllowed,
    NothingToIndex,
    PathNotFound,
)
from allma_server.indexing.roots import check_root, not_readable
from allma_server.indexing.tree import GONE, Tree
from allma_server.secrets import FOLDERS, is_in_secret_folder, is_secret_file
from allma_server.types import FileFacts, SeenFile, format_of

IGNORED_FOLDERS = frozenset(
    ".git .hg .svn .jj .bzr node_modules bower_components jspm_packages .venv venv virtualenv "
    "__pycache__ .tox .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis .ipynb_checkpoints "
    ".cache .gradle .terraform .next .nuxt .svelte-kit .parcel-cache .turbo .yarn .pnpm-store "
    ".direnv .idea .eggs site-packages DerivedData Pods .dart_tool .stack-work _build "
    "$RECYCLE.BIN .Trash .Trashes".split()
)
IGNORED_FILES = frozenset(
    "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lock bun.lockb uv.lock "
    "poetry.lock pdm.lock Pipfile.lock Cargo.lock composer.lock Gemfile.lock go.sum flake.lock "
    "mix.lock packages.lock.json tokenizer.json vocab.json vocab.txt merges.txt "
    ".git .DS_Store Thumbs.db desktop.ini .allmaignore".split()
)
IGNORED_ENDINGS = (".min.js", ".min.css", ".map", ".pyc", ".swp", ".swo", "~", ".lock", ".part")

_SYSTEM = ("/bin /sbin /lib /lib32 /lib64 /boot /dev /proc /sys /run /etc /usr/bin /usr/sbin "
           "/usr/lib /usr/include /usr/share /var/lib /var/run /System /Library /Applications "
           "/private/etc /private/var/db").split()  # fmt: skip
_TOO_BROAD = (
    "/usr /usr/local /var /opt /home /root /Users /mnt /media /srv /tmp /private /private/var "
    "/Volumes /snap /nix /cores"
).split()
_WINDOWS_SYSTEM = ("windows", "program files", "program files (x86)", "programdata")


def approve(path: str, data_dir: Path) -> Path:
    """The real, absolute form of a path that may be indexed.

    Raises:
        PathNotFound: nothing is there.
        FolderNotAllowed: a root, a home, a system folder, or Allma's own data.
    """
    named = Path(actual(os.path.expanduser(path)))
    try:
        real = named.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as exc:
        raise PathNotFound(
            f"There is no file or folder at {path!r}.", "Give an absolute path that exists."
        ) from exc
    if (why := why_refused(real, data_dir)) is not None:
        raise FolderNotAllowed(
            f"{real} is not indexed: it is {why}.", "Choose a project or document folder inside it."
        )
    return real


def why_refused(real: Path, data_dir: Path) -> str | None:
    """What forbids to index a folder, by its real path alone; nothing need be there."""
    data_dir = data_dir.resolve()
    home = Path.home().resolve()
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
    root: Path, data_dir: Path, max_bytes: int, disks: dict[str, int] | None = None
) -> Iterator[SeenFile]:
    """Every file under `root` (or `root` itself, a file) that is not ignored.

    Ignore files whose rules cannot be applied, folders too deep to be entered and closed ones are
    among them, with that as their reason. `disks` is given the root and each folder on another disk
    than the one around it, with the number of that disk.
    Blocks; run it in a thread.

    Raises:
        PathNotFound: `root` itself is not there.
        UnreadableDocument: it cannot be read, though it is.
    """
    check_root(root)
    if not root.is_dir():
        if (seen := look_at(root, max_bytes)) is not None:
            yield seen
        return
    tree = _tree(root, data_dir)
    told: set[str] = set()
    for seen in _files(tree, (), max_bytes):
        told.add(seen.file.path)
        yield seen
    for path, why in tree.refused.items():
        if path not in told:
            yield SeenFile(facts_of(path), why)
    yield from _closed(tree)
    if disks is not None:
        disks |= tree.disks


def folders(root: Path, data_dir: Path) -> Iterator[str]:
    """Every folder under `root`, itself included, whose files are seen; blocks.

    Raises:
        UnreadableDocument: as `walk`.
    """
    if not root.is_dir():
        yield str(root.parent)
        return
    yield str(root)
    for visit in _tree(root, data_dir).visits():
        if visit.folder.path != str(root):
            yield visit.folder.path


def walk_part(
    root: Path, parts: Iterable[Path], data_dir: Path, max_bytes: int
) -> Iterator[SeenFile]:
    """What a walk of `root` would see of these files and folders inside it; blocks.

    Raises:
        UnreadableDocument: as `walk`.
    """
    check_root(root)
    tree = _tree(root, data_dir) if root.is_dir() else None
    for part in parts:
        if part == root:
            yield from walk(root, data_dir, max_bytes)
        elif tree is not None and part.is_relative_to(root):
            yield from _files(tree, part.relative_to(root).parts, max_bytes)
    if tree is not None:
        yield from _closed(tree)


def _tree(root: Path, data_dir: Path) -> Tree:
    try:
        return Tree(str(root), IGNORED_FOLDERS | FOLDERS, os.path.realpath(data_dir))
    except (NothingToIndex, OSError) as exc:
        why = exc.message if isinstance(exc, NothingToIndex) else f"{exc.strerror}."
        raise not_readable(root, why) from exc


def _files(tree: Tree, names: Sequence[str], max_bytes: int) -> Iterator[SeenFile]:
    for visit in tree.visits(*names):
        refused = tree.refused
        for name in visit.files:
            path = os.path.join(visit.folder.path, name)
            if (why := refused.get(path)) is not None:
                yield SeenFile(facts_of(path), why)
                continue
            try:
                status = visit.folder.status(name)
            except OSError as exc:
                if exc.errno not in GONE:
                    why = f"cannot be looked at: {(exc.strerror or str(exc)).lower()}"
                    yield SeenFile(facts_of(path), why, closed=True)
                continue
            if (seen := _seen(path, status, max_bytes)) is not None:
                yield seen


def _closed(tree: Tree) -> Iterator[SeenFile]:
    for path, why in tree.closed.items():
        yield SeenFile(facts_of(path), why, closed=True)


def look_at(path: Path, max_bytes: int) -> SeenFile | None:
    """A file as the disk shows it now; None for a folder, an ignored name or nothing at all."""
    try:
        return _seen(str(path), status_of(str(path)), max_bytes)
    except (NothingToIndex, OSError, ValueError):
        return None


def _seen(path: str, status: os.stat_result, max_bytes: int) -> SeenFile | None:
    name = os.path.basename(path)
    if name in IGNORED_FILES or name.endswith(IGNORED_ENDINGS) or stat.S_ISDIR(status.st_mode):
        return None
    file = FileFacts(path, status.st_size, status.st_mtime_ns, status.st_ino)
    return SeenFile(file, _reason_to_skip(Path(path), status, max_bytes))


def facts_of(path: str) -> FileFacts:
    """What is known of what cannot be made use of, even if it cannot be looked at."""
    with contextlib.suppress(NothingToIndex, OSError):
        status = status_of(path)
        return FileFacts(path, status.st_size, status.st_mtime_ns, status.st_ino)
    return FileFacts(path, 0, 0, 0)


def _reason_to_skip(path: Path, status: os.stat_result, max_bytes: int) -> str | None:
    if stat.S_ISLNK(status.st_mode):
        return "a symbolic link; what it points to is indexed where it stands"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if is_secret_file(path):
        return "looks like a secret; such files are never read"
    if format_of(path) is None:
        return f"a {path.suffix.lower()} file, which holds no text Allma can read"
    if status.st_size == 0:
        return "empty"
    if status.st_size > max_bytes:
        size, limit = status.st_size / 1e6, max_bytes / 1e6
        return f"{size:.0f} MB, larger than the limit of {limit:.0f} MB (max_file_mb)"
    return None
