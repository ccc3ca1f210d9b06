"""A lock on an open file, which the system releases when the process ends, however it ends.

The file stays when the lock is released: deleting it would let two processes lock two files of the
same name. Standard library only, because forwarders and daemons start with it; importing filelock
takes longer than a forwarder's whole start.
"""

import sys
from typing import IO

if sys.platform == "win32":
    import msvcrt

    # Windows forbids reading locked bytes, so the locked byte is far behind the content.
    _OFFSET = 1 << 30

    def try_lock(file: IO[bytes], *, shared: bool = False) -> bool:
        """Lock the file; return False when another process holds the lock. Never `shared` here."""
        del shared
        file.seek(_OFFSET)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(file: IO[bytes]) -> None:
        """Release the lock."""
        file.seek(_OFFSET)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(file: IO[bytes], *, shared: bool = False) -> bool:
        """Lock the file, exclusively or `shared`; return False when another process holds it."""
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(file: IO[bytes]) -> None:
        """Release the lock."""
        fcntl.flock(file, fcntl.LOCK_UN)
