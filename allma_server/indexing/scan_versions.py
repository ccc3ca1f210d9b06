"""Version numbers for what runs read from the disk, so that an older version never wins."""

from allma_server._internal.paths import is_inside


class ScanVersions:
    """Decides, for each file, which run has read it last: only that one may write it.

    Versions are numbered in the order in which reading began. A run takes one number before it
    lists files, and one for each file before it reads the file. Its result is written only if
    nothing has read the file since, and the file was not invalidated (forgotten) since.
    """

    def __init__(self) -> None:
        self._number = 0
        self._latest: dict[str, int] = {}
        self._invalidated: list[tuple[int, str]] = []

    def begin_scan(self) -> int:
        """Return the version number of a new scan of many files."""
        self._number += 1
        return self._number

    def begin_file(self, path: str, scan: int) -> int | None:
        """Return a new version number for one file; None when `scan` is no longer its latest."""
        if not self.is_latest(path, scan):
            return None
        self._latest[path] = number = self.begin_scan()
        return number

    def is_latest(self, path: str, number: int) -> bool:
        """Return whether version `number` of a file may be written."""
        if self._latest.get(path, 0) > number:
            return False
        return not any(at > number and is_inside(path, folder) for at, folder in self._invalidated)

    def invalidate(self, folder: str) -> None:
        """Invalidate all earlier versions of the files at or below a path."""
        self._invalidated.append((self.begin_scan(), folder))

    def clear(self) -> None:
        """Discard all versions; call it only when no run has a number."""
        self._latest.clear()
        self._invalidated.clear()
