"""What a run sees of a workspace: how far it looks, and the files as the disk has them now."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from allma_server._internal.paths import is_inside
from allma_server.indexing import roots, scope
from allma_server.types import SeenFile


class Retry(Enum):
    """Which files a run reads again though they have not changed.

    `CHANGED`: those that other rules or limits may read otherwise. `LIMITED`: also those that a
    limit stopped. `FAILED`: all that failed.
    """

    CHANGED = 1
    LIMITED = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Extent:
    """What a run looks at. `only` limits it to files and folders inside the workspace.

    `as_it_is`: an empty folder is taken as one, also where a disk was mounted before.
    """

    only: Collection[str] | None = None
    retry: Retry = Retry.CHANGED
    as_it_is: bool = False


class View:
    """The files of a workspace as they are on the disk; blocks.

    `found`: the disks that it is on now, those included that it was on and that are not there.
    """

    def __init__(
        self,
        root: Path,
        data_dir: Path,
        most: int,
        disks: Mapping[str, int],
        was_folder: bool,
    ) -> None:
        self._root = root
        self._data_dir = data_dir
        self._most = most
        self._disks = disks
        self._was_folder = was_folder or str(root) in disks
        self.found: dict[str, int] = {}

    def seen(self, extent: Extent) -> Iterator[SeenFile]:
        """What is seen, as far as `extent` goes, and what is closed.

        Raises:
            PathNotFound, UnreadableDocument: the workspace is not there to be looked at.
        """
        roots.check_root(self._root)
        if self._was_folder:
            roots.check_kind(self._root)
        if not extent.as_it_is:
            roots.check_disk(self._root, self._disks, self.has_files)
            yield from self._away(extent.only)
        yield from self._walked(extent.only)

    def has_files(self, path: str) -> bool:
        """Whether there is a file to index in a folder of the workspace."""
        walked = scope.walk_part(self._root, [Path(path)], self._data_dir, self._most)
        return any(entry.reason is None for entry in walked)

    def _away(self, only: Collection[str] | None) -> Iterator[SeenFile]:
        inside = {path: disk for path, disk in self._disks.items() if path != str(self._root)}
        for path in roots.gone_disks(inside, self.has_files):
            if only is None or any(is_inside(path, p) or is_inside(p, path) for p in only):
                self.found[path] = self._disks[path]
                yield SeenFile(scope.facts_of(path), roots.AWAY, closed=True)

    def _walked(self, only: Collection[str] | None) -> Iterable[SeenFile]:
        if only is None:
            disks: dict[str, int] = {}
            yield from scope.walk(self._root, self._data_dir, self._most, disks)
            self.found = disks | self.found
            return
        # A folder and a file inside it may both be named; each file is seen once.
        part = scope.walk_part(self._root, map(Path, sorted(only)), self._data_dir, self._most)
        yield from {file.file.path: file for file in part}.values()
