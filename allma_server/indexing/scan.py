"""Scan a workspace: the files that a run sees, within its options."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from allma_server._internal.paths import is_inside
from allma_server.indexing import roots, scope
from allma_server.types import FileFacts, SeenFile


class Retry(Enum):
    """Which unchanged files a run reads again.

    `CHANGED`: those for which the settings or limits have changed. `LIMITED`: also those that a
    limit has stopped. `FAILED`: all that failed. `SCANNED`: those with text to recognise.
    """

    CHANGED = 1
    LIMITED = 2
    FAILED = 3
    SCANNED = 4


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run scans. `only` limits it to files and folders inside the workspace.

    `accept_empty`: treat the workspace's own folder as empty if it is, even if a disk was mounted
    there before. The documents of a folder inside it are kept until they are forgotten.
    """

    only: Collection[str] | None = None
    retry: Retry = Retry.CHANGED
    accept_empty: bool = False


class WorkspaceScan:
    """One scan of a workspace; its methods block.

    `known_disks` are the disks that the workspace was on. `may_be_read` tells of which files it is
    known that they may be read, as for `scope.walk`. After the scan, `disks` has those that it
    is on now, and those of `known_disks` that are not mounted.
    """

    def __init__(
        self,
        root: Path,
        data_dir: Path,
        max_bytes: int,
        known_disks: Mapping[str, int],
        was_folder: bool,
        may_be_read: Callable[[FileFacts], bool] | None = None,
    ) -> None:
        self._root = root
        self._data_dir = data_dir
        self._max_bytes = max_bytes
        self._known_disks = known_disks
        self._may_be_read = may_be_read
        self._was_folder = was_folder or str(root) in known_disks
        self.disks: dict[str, int] = {}

    def files(self, options: RunOptions) -> Iterator[SeenFile]:
        """Yield the files and the unreadable folders that are within `options`.

        Raises:
            PathNotFound, UnreadableDocument: the workspace cannot be scanned.
        """
        roots.check_exists(self._root)
        if self._was_folder:
            roots.check_is_folder(self._root)
        if not options.accept_empty:
            roots.check_disk(self._root, self._known_disks, self.has_files)
        yield from self._unmounted(options.only)
        yield from self._walk(options.only)

    def has_files(self, path: str) -> bool:
        """Return whether a folder of the workspace has a file to index."""
        files = scope.walk_part(self._root, [Path(path)], self._data_dir, self._max_bytes)
        return any(file.reason is None for file in files)

    def _unmounted(self, only: Collection[str] | None) -> Iterator[SeenFile]:
        inside = {path: disk for path, disk in self._known_disks.items() if path != str(self._root)}
        for path in roots.unmounted_folders(inside, self.has_files):
            if only is None or any(is_inside(path, p) or is_inside(p, path) for p in only):
                self.disks[path] = self._known_disks[path]
                yield SeenFile(scope.facts_of(path), roots.UNMOUNTED, unreadable=True)

    def _walk(self, only: Collection[str] | None) -> Iterable[SeenFile]:
        if only is None:
            disks: dict[str, int] = {}
            yield from scope.walk(
                self._root, self._data_dir, self._max_bytes, disks, self._may_be_read
            )
            self.disks = disks | self.disks
            return
        # `only` may have a folder and a file inside it: yield each file once.
        paths = map(Path, sorted(only))
        files = scope.walk_part(self._root, paths, self._data_dir, self._max_bytes)
        yield from {file.file.path: file for file in files}.values()
