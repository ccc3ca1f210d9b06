"""Apply the ignore files that are valid in a folder of a workspace.

The files are `.allmaignore`, `.ignore` and `.gitignore`, in this order of precedence, in the folder
and in its parents up to the root of the repository (of the workspace, where there is no
repository); then `.git/info/exclude` and the user's own excludes for git. Since an ignore file
decides what is read, it must be a regular file of the user's; others are rejected and reported.
"""

import contextlib
import os
import re
import stat
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from allma_server._internal.workspace_files import (
    OpenFolder,
    check_owner,
    open_folder,
    read_named,
    status_of,
    trusted_owners,
)
from allma_server.errors import NothingToIndex
from allma_server.indexing.gitignore import Rules, as_segment
from allma_server.locations import git_files

IGNORE_FILES = (".allmaignore", ".ignore", ".gitignore")
"""The names of ignore files; a rule in an earlier one overrides those in later ones."""

_GIT = 2
"""The index of `.gitignore` in IGNORE_FILES; git's other excludes have the same precedence."""

_MAX_BYTES = 1 << 20
_MAX_LINES = 10_000
_MAX_GITDIR_BYTES = 4096
"""The size of a `.git` file, which only names a folder."""

_EXCLUDES_FILE = re.compile(r'^\s*excludesfile\s*=\s*"?\s*(\S+?)\s*"?\s*$', re.I | re.M)

_Chain = tuple[tuple[int, Rules], ...]
"""Rules with the depth of their folder, the deepest first."""


@dataclass(slots=True)
class IgnoreFiles:
    """Reads the ignore files of one workspace.

    `rejected` has the files that are not applied, by path, with the reason. `user_excludes` are
    those that the user has set for git everywhere.
    """

    root: str
    owners: frozenset[int]
    rejected: dict[str, str] = field(default_factory=dict[str, str])
    user_excludes: Rules | None = None

    def read(self, folder: OpenFolder, name: str) -> Rules | None:
        """Return the rules of a file in a folder; None when there is no such file."""
        try:
            with folder.open_file(name, _MAX_BYTES) as file:
                check_owner(file, self.owners)
                return self._parse(file.content())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (NothingToIndex, OSError) as exc:
            self._reject(os.path.join(folder.path, name), exc)
            return None

    def read_git_file(self, path: str) -> Rules | None:
        """Return the rules of one of git's own files, to which links may lead."""
        if not os.path.lexists(path):
            return None
        try:
            return self._parse(read_named(path, _MAX_BYTES, self.owners))
        except (NothingToIndex, OSError) as exc:
            self._reject(path, exc)
            return None

    def gitdir(self, folder: OpenFolder) -> str | None:
        """Return the folder that a `.git` file names (of a linked worktree or a submodule)."""
        with contextlib.suppress(NothingToIndex, OSError):
            with folder.open_file(".git", _MAX_GITDIR_BYTES) as file:
                check_owner(file, self.owners)
                kind, _, path = os.fsdecode(file.content()).partition(":")
            if kind == "gitdir" and (path := path.strip()):
                return os.path.normpath(os.path.join(folder.path, path))
        return None

    def _parse(self, text: bytes) -> Rules:
        if text.count(b"\n") > _MAX_LINES:
            raise NothingToIndex(f"It has more than {_MAX_LINES} lines.")
        return Rules.parse(text)

    def _reject(self, path: str, exc: NothingToIndex | OSError) -> None:
        why = exc.message if isinstance(exc, NothingToIndex) else f"{exc.strerror}."
        self.rejected[path] = f"its rules are not applied: {why[0].lower()}{why[1:].rstrip('.')}"


@dataclass(frozen=True, slots=True)
class FolderRules:
    """The rules that are valid in one folder; `segments` is its path below the topmost rules.

    `common_dir` is the shared git folder of the repository around it.
    """

    files: IgnoreFiles
    segments: tuple[str, ...]
    chains: tuple[_Chain, ...]
    common_dir: str | None = None

    def ignores(self, name: str, is_folder: bool) -> bool:
        """Return whether the rules exclude an entry of the folder."""
        path = (*self.segments, as_segment(name))
        for chain in self.chains:
            for depth, rules in chain:
                ignored = rules.ignores(path[depth:], is_folder)
                if ignored is not None:
                    return ignored
        return False

    def inside(self, folder: OpenFolder, names: Collection[str] | None = None) -> "FolderRules":
        """Return the rules in a child folder; `names` are its entries, if they are known."""
        segments = (*self.segments, as_segment(os.path.basename(folder.path)))
        return self.extended(folder, segments, names)

    def extended(
        self, folder: OpenFolder, segments: tuple[str, ...], names: Collection[str] | None
    ) -> "FolderRules":
        """Return these rules and those of a folder; a repository's root replaces git's excludes."""
        *chains, common_dir = *self.chains, self.common_dir
        depth = len(segments)
        if (names is None or ".git" in names) and (found := _common_dir(folder, self.files)):
            common_dir = found
            exclude = self.files.read_git_file(os.path.join(found, "info", "exclude"))
            both = (exclude, self.files.user_excludes)
            chains[_GIT] = tuple((depth, each) for each in both if each)
        for number, name in enumerate(IGNORE_FILES):
            if (names is None or name in names) and (rules := self.files.read(folder, name)):
                chains[number] = ((depth, rules), *chains[number])
        return FolderRules(self.files, segments, tuple(chains), common_dir)

    def is_linked_worktree(self, folder: OpenFolder) -> bool:
        """Return whether a folder is another worktree of a repository that is or may be indexed.

        A worktree whose repository is elsewhere, outside this workspace, is not: nothing else of
        that repository is indexed.
        """
        gitdir = self.files.gitdir(folder)
        if gitdir is None or os.path.basename(os.path.dirname(gitdir)) != "worktrees":
            return False
        common = os.path.realpath(os.path.dirname(os.path.dirname(gitdir)))
        is_own = self.common_dir is not None and os.path.realpath(self.common_dir) == common
        if not os.path.isdir(common) or is_own:
            return True
        main, root = Path(common).parent, Path(self.files.root)
        is_near = main == root or main in root.parents or root in main.parents
        return os.path.basename(common) == ".git" and is_near


def load_rules(root: str) -> FolderRules:
    """Return the rules that are valid in the folder of a workspace.

    Raises:
        NothingToIndex, OSError: the folder cannot be opened.
    """
    files = IgnoreFiles(root, trusted_owners(root))
    files.user_excludes = _user_excludes(files)
    user = ((0, files.user_excludes),) if files.user_excludes else ()
    rules = FolderRules(files, (), ((), (), user))
    top, *inner = _folders_from_repository(root, files)
    with open_folder(top, listed=False) as folder:
        rules = rules.extended(folder, (), None)
    for path in inner:
        with open_folder(path, listed=False) as folder:
            rules = rules.inside(folder)
    return rules


def _folders_from_repository(root: str, files: IgnoreFiles) -> list[str]:
    """Return the folders from the root of the repository around a workspace to the workspace."""
    folders = [root, *map(str, Path(root).parents)]
    for number, folder in enumerate(folders):
        with contextlib.suppress(NothingToIndex, OSError):
            # In a folder that others can write to, their repository could exclude everything.
            if _is_trusted(status_of(os.path.join(folder, ".git")), files):
                return folders[number::-1]
    return [root]


def _common_dir(folder: OpenFolder, files: IgnoreFiles) -> str | None:
    """Return the shared git folder of the repository at a folder; None where there is none."""
    try:
        status = folder.status(".git")
    except OSError:
        return None
    if not _is_trusted(status, files):
        return None
    own = os.path.join(folder.path, ".git")
    if not stat.S_ISREG(status.st_mode):
        return own
    gitdir = files.gitdir(folder)
    if gitdir is None:
        return None
    with contextlib.suppress(NothingToIndex, OSError):
        common = read_named(os.path.join(gitdir, "commondir"), _MAX_GITDIR_BYTES, files.owners)
        return os.path.normpath(os.path.join(gitdir, os.fsdecode(common).strip()))
    return gitdir


def _user_excludes(files: IgnoreFiles) -> Rules | None:
    settings, default = git_files()
    for file in settings:
        with contextlib.suppress(NothingToIndex, OSError):
            text = os.fsdecode(read_named(str(file), _MAX_BYTES, files.owners))
            if named := _EXCLUDES_FILE.search(text):
                return files.read_git_file(os.path.expanduser(named[1]))
    return files.read_git_file(str(default))


def _is_trusted(status: os.stat_result, files: IgnoreFiles) -> bool:
    return sys.platform == "win32" or status.st_uid in files.owners
