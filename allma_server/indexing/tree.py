"""The folders of a workspace and the files in them, as its ignore files and nothing else let see.

Folders are opened one after another from the workspace's own, which stays open, so that none that
was swapped for a link is entered, and a deep tree takes no more descriptors than a flat one.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass

from allma_server._internal.workspace_files import OpenFolder, open_folder
from allma_server.errors import NothingToIndex
from allma_server.indexing.ignore_rules import FolderRules, rules_of

_Way = tuple[str, ...]

_LONGEST_PATH = 4000
"""Bytes; nothing can be opened by a longer one, and way down there each step costs more."""


GONE = (errno.ENOENT, errno.ENOTDIR)
"""Errors of a file or folder that is not there, rather than closed."""

TOO_DEEP = f"a folder too deep to be entered: its path is longer than {_LONGEST_PATH:,} bytes"
"""Why there is nothing of a folder but itself."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A folder, open for the time of the visit, and the names of the files seen in it."""

    folder: OpenFolder
    files: list[str]


class Tree:
    """What is seen below `root`. Folders named in `never`, and the one at `hidden`, are not.

    `closed`: files and folders that could not be looked at so far, by path, and why. `disks`: the
    root and each folder on another disk than the one around it, and the number of that disk.

    Raises (also while it is visited):
        NothingToIndex, OSError: `root` itself cannot be opened.
    """

    def __init__(self, root: str, never: Collection[str], hidden: str) -> None:
        self.root = root
        self._never = never
        self._hidden = hidden
        self._too_deep: dict[str, str] = {}
        self.closed: dict[str, str] = {}
        self.disks: dict[str, int] = {}
        with open_folder(root):
            self._rules = rules_of(root)

    @property
    def refused(self) -> dict[str, str]:
        """What was met so far and is not made use of, by path, and why.

        Ignore files whose rules are not applied, and folders that are not entered.
        """
        return self._rules.files.refused | self._too_deep

    def visits(self, *names: str) -> Iterator[Visit]:
        """The folder that names below the root lead to, and all folders in it.

        Where they lead to a file, its folder with that file alone; nothing where it is not seen.
        """
        with open_folder(self.root) as root:
            if not names:
                yield from self._below(root, self._rules, ())
                return
            yield from self._at(root, names)

    def _at(self, root: OpenFolder, names: _Way) -> Iterator[Visit]:
        *above, name = names
        rules = self._rules_in(root, tuple(above), self._rules)
        if rules is None:
            return
        is_folder = False
        with self._noting_closed(names), _opened(root, tuple(above)) as folder:
            is_folder = stat.S_ISDIR(folder.status(name).st_mode)
            if not self._is_seen(folder, rules, name, is_folder):
                return
            if not is_folder:
                yield Visit(folder, [name])
        if is_folder:
            yield from self._below(root, rules, names)

    def _below(self, root: OpenFolder, above: FolderRules, first: _Way) -> Iterator[Visit]:
        todo: list[tuple[FolderRules, _Way, int | None]] = [(above, first, None)]
        while todo:
            rules, way, disk_around = todo.pop()
            with self._noting_closed(way), _opened(root, way) as folder:
                entries = folder.entries()
                if way:
                    names = {entry.name for entry in entries}
                    if ".git" in names and rules.is_linked_worktree(folder):
                        continue
                    rules = rules.inside(folder, names)
                disk = folder.disk()
                if disk != disk_around:
                    self.disks[folder.path] = disk
                folders: list[str] = []
                files: list[str] = []
                for entry in entries:
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if self._is_seen(folder, rules, entry.name, is_folder):
                        enters = is_folder and not self._is_too_deep(folder, entry.name)
                        (folders if enters else files).append(entry.name)
                todo += [(rules, (*way, name), disk) for name in reversed(folders)]
                yield Visit(folder, files)

    def _rules_in(self, root: OpenFolder, way: _Way, rules: FolderRules) -> FolderRules | None:
        """The rules in a folder further down; None where it is not seen."""
        for depth in range(len(way)):
            inside = self._rules_one_further(root, way[: depth + 1], rules)
            if inside is None:
                return None
            rules = inside
        return rules

    def _rules_one_further(
        self, root: OpenFolder, way: _Way, rules: FolderRules
    ) -> FolderRules | None:
        *above, name = way
        with self._noting_closed(way):
            with _opened(root, tuple(above)) as folder:
                if not self._is_seen(folder, rules, name, is_folder=True):
                    return None
            with _opened(root, way) as folder:
                return None if rules.is_linked_worktree(folder) else rules.inside(folder)
        return None

    @contextlib.contextmanager
    def _noting_closed(self, way: _Way) -> Generator[None]:
        """Passes over what cannot be opened; what may be there nevertheless is noted as closed."""
        try:
            yield
        except NothingToIndex:
            pass  # something else took its place meanwhile
        except OSError as exc:
            if exc.errno not in GONE:
                self.closed[os.path.join(self.root, *way)] = closed_folder(exc)

    def _is_seen(self, folder: OpenFolder, rules: FolderRules, name: str, is_folder: bool) -> bool:
        if is_folder and (name in self._never or os.path.join(folder.path, name) == self._hidden):
            return False
        return not rules.ignores(name, is_folder)

    def _is_too_deep(self, folder: OpenFolder, name: str) -> bool:
        path = os.path.join(folder.path, name)
        if len(os.fsencode(path)) <= _LONGEST_PATH:
            return False
        self._too_deep[path] = TOO_DEEP
        return True


def closed_folder(exc: OSError) -> str:
    """What to tell of a folder that cannot be looked into."""
    return f"a folder that cannot be looked into: {(exc.strerror or str(exc)).lower()}"


@contextlib.contextmanager
def _opened(root: OpenFolder, way: _Way) -> Generator[OpenFolder]:
    if not way:
        yield root
        return
    with root.open_folder(*way) as folder:
        yield folder
