"""Walk the folders of a workspace and list the files that its ignore files do not exclude.

Each folder is opened from the workspace's own folder, which stays open: a folder that is replaced
by a link is not entered, and a deep tree needs no more file descriptors than a flat one.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass

from allma_server._internal.workspace_files import OpenFolder, open_folder
from allma_server.errors import NothingToIndex
from allma_server.indexing.ignore_rules import FolderRules, load_rules

_Names = tuple[str, ...]
"""The names of the folders from the root down to a folder or file."""

_MAX_PATH = 4000
"""Bytes. The system opens no longer path, and the cost of each step grows with the depth."""

MISSING = (errno.ENOENT, errno.ENOTDIR)
"""Error numbers for a file or folder that does not exist, in contrast to an unreadable one."""

TOO_DEEP = f"a folder that is nested too deeply: its path is longer than {_MAX_PATH:,} bytes"
"""The reason for a folder that is not entered."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A folder, open during the visit, and the names of its files that are not ignored."""

    folder: OpenFolder
    files: list[str]


class FolderTree:
    """The folders below `root`, without those named in `ignored_names` and without `data_dir`.

    `unreadable` has the files and folders that could not be opened so far, by path, with the
    reason. `disks` has the device number of the root, and of each folder on another disk than its
    parent.

    Raises (also while it is visited):
        NothingToIndex, OSError: `root` itself cannot be opened.
    """

    def __init__(self, root: str, ignored_names: Collection[str], data_dir: str) -> None:
        self.root = root
        self._ignored_names = ignored_names
        self._data_dir = data_dir
        self._too_deep: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}
        self.disks: dict[str, int] = {}
        with open_folder(root):
            self._rules = load_rules(root)

    @property
    def rejected(self) -> dict[str, str]:
        """The ignore files that are not applied and the folders not entered, with the reason."""
        return self._rules.files.rejected | self._too_deep

    def visits(self, *names: str) -> Iterator[Visit]:
        """Visit the folder that `names` lead to from the root, and all folders in it.

        If they lead to a file, visit its folder with only that file; if it is ignored, nothing.
        """
        with open_folder(self.root) as root:
            if not names:
                yield from self._walk(root, self._rules, ())
                return
            yield from self._visit_part(root, names)

    def _visit_part(self, root: OpenFolder, names: _Names) -> Iterator[Visit]:
        *parents, name = names
        rules = self._rules_in(root, tuple(parents), self._rules)
        if rules is None:
            return
        is_folder = False
        with self._record_unreadable(names), _opened(root, tuple(parents)) as folder:
            is_folder = stat.S_ISDIR(folder.status(name).st_mode)
            if self._is_ignored(folder, rules, name, is_folder):
                return
            if not is_folder:
                yield Visit(folder, [name])
        if is_folder:
            yield from self._walk(root, rules, names)

    def _walk(self, root: OpenFolder, parent_rules: FolderRules, first: _Names) -> Iterator[Visit]:
        pending: list[tuple[FolderRules, _Names, int | None]] = [(parent_rules, first, None)]
        while pending:
            rules, names, parent_disk = pending.pop()
            with self._record_unreadable(names), _opened(root, names) as folder:
                entries = folder.entries()
                if names:
                    entry_names = {entry.name for entry in entries}
                    if ".git" in entry_names and rules.is_linked_worktree(folder):
                        continue
                    rules = rules.inside(folder, entry_names)
                disk = folder.disk()
                if disk != parent_disk:
                    self.disks[folder.path] = disk
                folders: list[str] = []
                files: list[str] = []
                for entry in entries:
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if not self._is_ignored(folder, rules, entry.name, is_folder):
                        enters = is_folder and not self._is_too_deep(folder, entry.name)
                        (folders if enters else files).append(entry.name)
                pending += [(rules, (*names, name), disk) for name in reversed(folders)]
                yield Visit(folder, files)

    def _rules_in(self, root: OpenFolder, names: _Names, rules: FolderRules) -> FolderRules | None:
        """Return the rules in a folder further down; None where it is ignored."""
        for depth in range(len(names)):
            inside = self._rules_one_further(root, names[: depth + 1], rules)
            if inside is None:
                return None
            rules = inside
        return rules

    def _rules_one_further(
        self, root: OpenFolder, names: _Names, rules: FolderRules
    ) -> FolderRules | None:
        *parents, name = names
        with self._record_unreadable(names):
            with _opened(root, tuple(parents)) as folder:
                if self._is_ignored(folder, rules, name, is_folder=True):
                    return None
            with _opened(root, names) as folder:
                return None if rules.is_linked_worktree(folder) else rules.inside(folder)
        return None

    @contextlib.contextmanager
    def _record_unreadable(self, names: _Names) -> Generator[None]:
        """Skip what cannot be opened; record it as unreadable unless it does not exist."""
        try:
            yield
        except NothingToIndex:
            pass  # it was replaced by something that is no folder
        except OSError as exc:
            if exc.errno not in MISSING:
                self.unreadable[os.path.join(self.root, *names)] = _unreadable_folder(exc)

    def _is_ignored(
        self, folder: OpenFolder, rules: FolderRules, name: str, is_folder: bool
    ) -> bool:
        if is_folder and name in self._ignored_names:
            return True
        if is_folder and os.path.join(folder.path, name) == self._data_dir:
            return True
        return rules.ignores(name, is_folder)

    def _is_too_deep(self, folder: OpenFolder, name: str) -> bool:
        path = os.path.join(folder.path, name)
        if len(os.fsencode(path)) <= _MAX_PATH:
            return False
        self._too_deep[path] = TOO_DEEP
        return True


def _unreadable_folder(exc: OSError) -> str:
    return f"a folder that cannot be opened: {(exc.strerror or str(exc)).lower()}"


@contextlib.contextmanager
def _opened(root: OpenFolder, names: _Names) -> Generator[OpenFolder]:
    if not names:
        yield root
        return
    with root.open_folder(*names) as folder:
        yield folder
