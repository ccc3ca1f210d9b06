"""Limit the memory and the priority of this process, which reads untrusted files."""

import contextlib
import os
import sys
from pathlib import Path


def peak_memory() -> int:
    """Return the peak memory of this process in bytes; 0 where the system does not report it."""
    with contextlib.suppress(OSError):
        # On Linux, `ru_maxrss` includes the memory of the parent before `exec`.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def limit_resources(memory: int, niceness: int) -> None:
    """Limit the address space to `memory` bytes, and let other processes go first."""
    if sys.platform == "win32":
        return
    import resource

    os.nice(niceness)
    # macOS has the limit but may refuse to set it.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
