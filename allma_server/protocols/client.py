"""What a protocol knows of a client before its first request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from allma_server.types import Principal


@dataclass(frozen=True, slots=True)
class ClientContext:
    """Who connects, and where it works.

    `cwd`: its current folder, where relative paths start when no other folder is known.
    `workspaces`: folders to index in the background, and to search. `project_folder`: the folder
    that its environment names; searched if it is indexed, never indexed for that. `defaults`:
    values for optional arguments that its requests leave out.
    """

    principal: Principal
    cwd: str | None = None
    workspaces: tuple[str, ...] = ()
    project_folder: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict[str, object])
