"""Notice passages whose files have changed since they were indexed."""

import asyncio
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace

from allma_server._internal.disk_calls import call_disk
from allma_server._internal.workspace_files import status_of
from allma_server.errors import NothingToIndex
from allma_server.types import Passage

STALE_CHECK_SECONDS = 1.0
"""How long to wait for a disk to report whether files have changed."""

_REMOVED = (-1, -1)
"""Replaces the facts of a document that was removed meanwhile, so its passages are stale."""


async def mark_stale(
    passages: Sequence[Passage], facts: Mapping[int, tuple[int, int] | None]
) -> list[Passage]:
    """Return the passages with `stale` set where a file has changed since it was indexed.

    Passages on a disk that does not answer in time are stale as well.

    Args:
        passages: what to check.
        facts: size and mtime_ns by document id, from `PassageStore.facts`; None for a document
            whose file must not be looked at.
    """
    workspaces = {passage.workspace for passage in passages}
    found = await asyncio.gather(
        *(
            _changed_paths(workspace, [p for p in passages if p.workspace == workspace], facts)
            for workspace in workspaces
        )
    )
    changed = frozenset[str]().union(*found)
    return [replace(passage, stale=passage.path in changed) for passage in passages]


async def _changed_paths(
    workspace: str, passages: Sequence[Passage], facts: Mapping[int, tuple[int, int] | None]
) -> set[str]:
    def check() -> set[str]:
        return {
            p.path for p in passages if _has_changed(p.path, facts.get(p.document_id, _REMOVED))
        }

    try:
        return await call_disk(("stale", workspace), STALE_CHECK_SECONDS, check)
    except TimeoutError:
        return {passage.path for passage in passages}


def _has_changed(path: str, known: tuple[int, int] | None) -> bool:
    if known is None:
        return False
    try:
        status = status_of(path)
    except (NothingToIndex, OSError):
        return True
    return known != (status.st_size, status.st_mtime_ns) or not stat.S_ISREG(status.st_mode)
