"""The state of the engine, the daemon, and what they depend on."""

from dataclasses import dataclass, field
from typing import Literal

from allma_server.types.jobs import Job


@dataclass(frozen=True, slots=True)
class EmbedderStatus:
    """The embedder of this data directory; both are None before the first ingestion.

    `wanted`: the one in the settings, which replaces it once it has embedded everything.
    `reason`: why embedding does not make progress. `notice`: how much of the text is in scripts
    that it does not know.
    """

    name: str | None
    dimensions: int | None
    wanted: str | None = None
    reason: str | None = None
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class OllamaStatus:
    """Whether the chat provider answers; if not, `reason` is a sentence that says why.

    `provider`: its name in the setting `chat_provider`. `reason_code`: the code of the error whose
    message is `reason`.
    """

    url: str
    reachable: bool
    version: str | None
    reason: str | None
    provider: str = "ollama"
    reason_code: str | None = None


@dataclass(frozen=True, slots=True)
class VectorStatus:
    """The vector store; `state` is ready, rebuilding, idle or down, with its `reason`.

    `pending`: changes that it does not hold yet; None for a user who is no administrator.
    """

    store: str
    state: str
    pending: int | None
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
class FullTextStatus:
    """The full-text index; `state` is ready, rebuilding, idle or down, with its `reason`.

    `pending`: changes that it does not hold yet; None for a user who is no administrator.
    """

    state: str
    pending: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """The state of a workspace.

    `pending`: known changes that are not indexed yet. `notice`: why changes are only found by
    periodic scans, if the system does not report them. `approved`: false if it came with an import
    and has not been indexed here. `done`, `total`: files of the indexing in progress; None if there
    is none, or while it lists the files. `reason`: why indexing is stopped.
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
    """The state of the engine.

    `data_dir`, `clients` and `pid` are None for a user who is no administrator.
    """

    version: str
    data_dir: str | None
    embedder: EmbedderStatus
    chat_model: str | None
    ollama: OllamaStatus
    vectors: VectorStatus
    full_text: FullTextStatus
    workspaces: list[WorkspaceStatus]
    jobs: list[Job]
    clients: int | None
    pid: int | None


@dataclass(frozen=True, slots=True)
class Check:
    """One result of doctor; `next_step` is set if something should be done."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    next_step: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All results of doctor; `healthy` if nothing failed."""

    healthy: bool
    checks: list[Check]


@dataclass(frozen=True, slots=True)
class ConnectedClient:
    """A client of the daemon; `protocol` is `lsp`, `mcp` or `shell`."""

    protocol: str
    pid: int


@dataclass(frozen=True, slots=True)
class Listening:
    """The address at which HTTP is served."""

    url: str


@dataclass(frozen=True, slots=True)
class PageAddress:
    """Where the page is. If it was not `opened`, the address signs in once, within `seconds`."""

    url: str
    opened: bool
    seconds: int


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """The shared engine process of a data directory; only `running` is set if there is none.

    `notice`: what happened to it, or that it does not answer.
    """

    running: bool
    pid: int | None = None
    build: str | None = None
    uptime_seconds: int | None = None
    clients: list[ConnectedClient] = field(default_factory=list[ConnectedClient])
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The result of an operation that returns nothing else."""

    message: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The content that an import added to a data directory.

    `workspaces`: the folders of the documents. Their files are not read before they are indexed.
    """

    file: str
    data_dir: str
    documents: int
    conversations: int
    workspaces: list[str]


@dataclass(frozen=True, slots=True)
class Rescue:
    """What was recovered from a damaged database, which is kept as the file `damaged`."""

    damaged: str
    documents: int
    conversations: int
    messages: int
