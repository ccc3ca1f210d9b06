"""The state of the engine, of the daemon and of all they depend on."""

from dataclasses import dataclass, field
from typing import Literal

from allma_server.types.changes import Job


@dataclass(frozen=True, slots=True)
class EmbedderStatus:
    """The embedder of this data directory; None for both until the first ingestion decides.

    `wanted`: the one that the settings name, which takes over once it has embedded everything.
    `reason`: why that, or the embedding of what is indexed, does not get on.
    """

    name: str | None
    dimensions: int | None
    wanted: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OllamaStatus:
    """Whether the chat provider answers; `reason` is the sentence when it does not.

    `provider`: which one it is, as the setting `chat_provider` names it. `reason_code`: the code of
    the error that `reason` is the sentence of.
    """

    url: str
    reachable: bool
    version: str | None
    reason: str | None
    provider: str = "ollama"
    reason_code: str | None = None


@dataclass(frozen=True, slots=True)
class VectorStatus:
    """Who serves vector search: `state` is ready, rebuilding, idle or down, with its reason."""

    store: str
    state: str
    pending: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class VectorStoreHealth:
    """How much a vector store holds.

    `used_slots` were written since it was built; `live_slots` of them still hold a vector. A store
    that reuses slots reports its rows for both.
    """

    rows: int
    used_slots: int
    live_slots: int


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """A workspace in numbers. `pending`: known changes that are not in the index yet.

    `notice`: why changes are found by looking from time to time only, where the system refuses to
    tell them. One that is not `approved` came with an import, and is not read before it is indexed.
    `done` of `total` files: how far the indexing that is under way is; None when none is, or while
    it still looks for files. `reason`: why it stands still.
    """

    path: str
    documents: int
    chunks: int
    pending: int
    failed: int
    skipped: int
    watching: bool
    notice: str | None = None
    approved: bool = True
    done: int | None = None
    total: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the engine."""

    version: str
    data_dir: str
    embedder: EmbedderStatus
    chat_model: str | None
    ollama: OllamaStatus
    vectors: VectorStatus
    workspaces: list[WorkspaceStatus]
    jobs: list[Job]
    clients: int
    pid: int


@dataclass(frozen=True, slots=True)
class Check:
    """One thing doctor looked at; `next_step` is set when something should be done."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    next_step: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything doctor looked at; `healthy` when nothing failed."""

    healthy: bool
    checks: list[Check]


@dataclass(frozen=True, slots=True)
class ConnectedClient:
    """A client of the daemon; `protocol` is `lsp`, `mcp` or `shell`."""

    protocol: str
    pid: int


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """The shared engine process of a data directory; the rest is empty when none is running.

    `notice`: what became of it, or that it does not answer.
    """

    running: bool
    pid: int | None = None
    build: str | None = None
    uptime_seconds: int | None = None
    clients: list[ConnectedClient] = field(default_factory=list[ConnectedClient])
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A change that has nothing more to tell."""

    message: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import put into a data directory.

    `workspaces` are the folders that the documents came from: found, but not read on this machine
    before they are indexed.
    """

    file: str
    data_dir: str
    documents: int
    conversations: int
    workspaces: list[str]


@dataclass(frozen=True, slots=True)
class Rescue:
    """What a new database has of a damaged one, which is kept as the file `damaged`."""

    damaged: str
    documents: int
    conversations: int
    messages: int
