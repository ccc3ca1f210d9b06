"""A lock on an open file, which the system releases when the process ends, however it ends.

The file stays when the lock goes: deleting it would let two processes lock two files of one name.
Standard library only.
"""

import sys
from typing import IO

if sys.platform == "win32":
    import msvcrt

    # Windows forbids reading locked bytes, so the lock lies far behind what the file says.
    _OFFSET = 1 << 30

    def try_lock(file: IO[bytes], *, shared: bool = False) -> bool:
        """Locks the file; False when another process holds it. None is `shared` here."""
        del shared
        file.seek(_OFFSET)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(file: IO[bytes]) -> None:
        """Lets the next process have it."""
        file.seek(_OFFSET)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(file: IO[bytes], *, shared: bool = False) -> bool:
        """Locks the file, alone or with others that share it; False when another holds it."""
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(file: IO[bytes]) -> None:
        """Lets the next process have it."""
        fcntl.flock(file, fcntl.LOCK_UN)
