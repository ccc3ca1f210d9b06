"""Which ignore files hold in a folder of a workspace, and what they say.

Honoured are `.allmaignore`, `.ignore` and `.gitignore`, in this order, in the folder and in those
above it up to the repository's root, or the workspace's where there is no repository; after them
`.git/info/exclude` and the user's own excludes for git. An ignore file decides what is read, so it
must be a regular file of the user's; one that is not is left aside and told of.
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
from allma_server.indexing.gitignore import Rules
from allma_server.locations import git_files

IGNORE_FILES = (".allmaignore", ".ignore", ".gitignore")
"""Files that say what is ignored in their folder; what the first says holds over the others."""

_GIT = 2
"""The place of `.gitignore` in IGNORE_FILES: what git knows besides comes behind it."""

LARGEST = 1 << 20
_MOST_RULES = 10_000
_POINTER = 4096
"""Bytes of a `.git` file, which only names a folder."""

_EXCLUDES_FILE = re.compile(r'^\s*excludesfile\s*=\s*"?\s*(\S+?)\s*"?\s*$', re.I | re.M)

_Chain = tuple[tuple[int, Rules], ...]
"""Rules with the depth of their folder, the deepest first."""


@dataclass(slots=True)
class RuleFiles:
    """Reads the ignore files of one workspace. `refused`: those left aside, by path, and why.

    `user`: the excludes that the user has set for git everywhere.
    """

    root: str
    owners: frozenset[int]
    refused: dict[str, str] = field(default_factory=dict[str, str])
    user: Rules | None = None

    def read(self, folder: OpenFolder, name: str) -> Rules | None:
        """The rules of a file in a folder; None when there are none."""
        try:
            with folder.open_file(name, LARGEST) as file:
                check_owner(file, self.owners)
                return self._checked(file.content())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (NothingToIndex, OSError) as exc:
            self._refuse(os.path.join(folder.path, name), exc)
            return None

    def read_elsewhere(self, path: str) -> Rules | None:
        """The rules of one of git's own files, to which links may lead."""
        if not os.path.lexists(path):
            return None
        try:
            return self._checked(read_named(path, LARGEST, self.owners))
        except (NothingToIndex, OSError) as exc:
            self._refuse(path, exc)
            return None

    def pointer(self, folder: OpenFolder) -> str | None:
        """The folder that a `.git` file names, which linked worktrees and submodules have."""
        with contextlib.suppress(NothingToIndex, OSError):
            with folder.open_file(".git", _POINTER) as file:
                check_owner(file, self.owners)
                kind, _, place = os.fsdecode(file.content()).partition(":")
            if kind == "gitdir" and (place := place.strip()):
                return os.path.normpath(os.path.join(folder.path, place))
        return None

    def _checked(self, text: bytes) -> Rules:
        if text.count(b"\n") > _MOST_RULES:
            raise NothingToIndex(f"It has more than {_MOST_RULES} lines.")
        return Rules.parsed(text)

    def _refuse(self, path: str, exc: NothingToIndex | OSError) -> None:
        why = exc.message if isinstance(exc, NothingToIndex) else f"{exc.strerror}."
        self.refused[path] = f"its rules are not applied: {why[0].lower()}{why[1:].rstrip('.')}"


@dataclass(frozen=True, slots=True)
class FolderRules:
    """What is ignored in one folder. `segments`: the folder below where its rules begin."""

    files: RuleFiles
    segments: tuple[bytes, ...]
    chains: tuple[_Chain, ...]
    common: str | None = None
    """Where the repository around it keeps what its worktrees share."""

    def ignores(self, name: str, is_folder: bool) -> bool:
        """Whether the rules leave out what stands in the folder under a name."""
        path = (*self.segments, os.fsencode(name))
        for chain in self.chains:
            for depth, rules in chain:
                said = rules.ignores(path[depth:], is_folder)
                if said is not None:
                    return said
        return False

    def inside(self, folder: OpenFolder, names: Collection[str] | None = None) -> "FolderRules":
        """The rules in a folder of this one; `names`: what is in it, where that is known."""
        segments = (*self.segments, os.fsencode(os.path.basename(folder.path)))
        return self._with(folder, segments, names)

    def _with(
        self, folder: OpenFolder, segments: tuple[bytes, ...], names: Collection[str] | None
    ) -> "FolderRules":
        """These rules and those of a folder; at the root of a repository, git's begin anew."""
        *chains, common = *self.chains, self.common
        depth = len(segments)
        if (names is None or ".git" in names) and (found := _common_folder(folder, self.files)):
            common = found
            exclude = self.files.read_elsewhere(os.path.join(found, "info", "exclude"))
            chains[_GIT] = tuple((depth, each) for each in (exclude, self.files.user) if each)
        for number, name in enumerate(IGNORE_FILES):
            if (names is None or name in names) and (rules := self.files.read(folder, name)):
                chains[number] = ((depth, rules), *chains[number])
        return FolderRules(self.files, segments, tuple(chains), common)

    def is_linked_worktree(self, folder: OpenFolder) -> bool:
        """Whether a folder is another working tree of what is, or may be, indexed anyway.

        One whose repository stands outside the workspace, and is not the one around it, is all
        that there is of it.
        """
        gitdir = self.files.pointer(folder)
        if gitdir is None or os.path.basename(os.path.dirname(gitdir)) != "worktrees":
            return False
        common = os.path.realpath(os.path.dirname(os.path.dirname(gitdir)))
        if not os.path.isdir(common) or (self.common and os.path.realpath(self.common) == common):
            return True
        main, root = Path(common).parent, Path(self.files.root)
        beside = main == root or main in root.parents or root in main.parents
        return os.path.basename(common) == ".git" and beside


def rules_of(root: str) -> FolderRules:
    """The rules that hold in the folder of a workspace.

    Raises:
        NothingToIndex, OSError: it cannot be opened.
    """
    files = RuleFiles(root, trusted_owners(root))
    files.user = _user_excludes(files)
    rules = FolderRules(files, (), ((), (), ((0, files.user),) if files.user else ()))
    top, *inner = _from_repository(root, files)
    with open_folder(top, listed=False) as folder:
        rules = rules._with(folder, (), None)  # pyright: ignore[reportPrivateUsage]
    for path in inner:
        with open_folder(path, listed=False) as folder:
            rules = rules.inside(folder)
    return rules


def _from_repository(root: str, files: RuleFiles) -> list[str]:
    """The folders from the root of the repository around a workspace down to the workspace."""
    folders = [root, *map(str, Path(root).parents)]
    for number, folder in enumerate(folders):
        with contextlib.suppress(NothingToIndex, OSError):
            # Where others may write, somebody else's repository could hide everything.
            if _is_trusted(status_of(os.path.join(folder, ".git")), files):
                return folders[number::-1]
    return [root]


def _common_folder(folder: OpenFolder, files: RuleFiles) -> str | None:
    """What the working trees of the repository at a folder share; None where there is none."""
    try:
        status = folder.status(".git")
    except OSError:
        return None
    if not _is_trusted(status, files):
        return None
    own = os.path.join(folder.path, ".git")
    if not stat.S_ISREG(status.st_mode):
        return own
    gitdir = files.pointer(folder)
    if gitdir is None:
        return None
    with contextlib.suppress(NothingToIndex, OSError):
        common = read_named(os.path.join(gitdir, "commondir"), _POINTER, files.owners)
        return os.path.normpath(os.path.join(gitdir, os.fsdecode(common).strip()))
    return gitdir


def _user_excludes(files: RuleFiles) -> Rules | None:
    settings, usual = git_files()
    for file in settings:
        with contextlib.suppress(NothingToIndex, OSError):
            text = os.fsdecode(read_named(str(file), LARGEST, files.owners))
            if named := _EXCLUDES_FILE.search(text):
                return files.read_elsewhere(os.path.expanduser(named[1]))
    return files.read_elsewhere(str(usual))


def _is_trusted(status: os.stat_result, files: RuleFiles) -> bool:
    return sys.platform == "win32" or status.st_uid in files.owners
