"""The nouns of Allma, as plain values.

Nothing here knows a protocol, a library or a store. Times are ISO 8601 strings in UTC, paths are
absolute, lines and pages count from 1, offsets are characters into a document's extracted text.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Literal

Role = Literal["user", "assistant", "system"]
DocumentState = Literal["indexed", "skipped", "failed"]
Grounding = Literal["cited", "uncited", "declined", "none"]
Outcome = Literal["shown", "joined", "repeats", "overlaps", "far_below", "over_limit", "not_read"]
SectionKind = Literal["text", "markdown", "code", "records"]


def now() -> str:
    """The present moment, in the form all stored times have."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- what is read from a file -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document's text that belongs together: a page, a heading's body, a table.

    `repeat` is put before every chunk cut from the section but its first (a table's header row).
    `breaks` are offsets where a chunk may best begin, such as the starts of records.
    """

    start: int
    end: int
    kind: SectionKind = "text"
    heading: tuple[str, ...] = ()
    page: int | None = None
    language: str | None = None
    repeat: str = ""
    breaks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Extract:
    """What a reader makes of a file: its whole text, and the sections that cover it in order."""

    text: str
    sections: tuple[Section, ...]
    title: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document small enough to embed.

    `text` is what people see; `context` (title, heading or symbol path) is embedded and indexed
    before it, so that a chunk is found by what stands above it.
    """

    index: int
    text: str
    start: int
    end: int
    start_line: int
    end_line: int
    page: int | None = None
    heading: tuple[str, ...] = ()
    context: str = ""

    @property
    def embedded_text(self) -> str:
        return f"{self.context}\n{self.text}" if self.context else self.text

    @property
    def text_hash(self) -> bytes:
        """16 bytes that identify what is embedded; the key of the embedding cache."""
        return blake2b(self.embedded_text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file turned into chunks, ready to be embedded."""

    format: str
    title: str
    metadata: dict[str, str]
    chunks: tuple[Chunk, ...]


# --- the catalogue ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder (or a single file) the user approved for indexing."""

    id: int
    path: str
    added_at: str


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the disk says of a file; the truth that events only hint at."""

    path: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file met on a walk; with a reason, it is listed but never opened."""

    file: FileFacts
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A ledger row: every file that was seen, and what became of it."""

    id: int
    workspace_id: int
    path: str
    format: str
    size: int
    mtime_ns: int
    inode: int
    content_hash: str
    state: DocumentState
    reason: str | None
    title: str
    metadata: dict[str, str]
    chunks: int
    indexed_at: str


@dataclass(frozen=True, slots=True)
class Add:
    """A file the catalogue does not know."""

    file: FileFacts


@dataclass(frozen=True, slots=True)
class Update:
    """A known file whose size or times differ from the ledger's."""

    file: FileFacts
    known: Document


@dataclass(frozen=True, slots=True)
class Move:
    """A known document that now lives at another path, unchanged."""

    file: FileFacts
    known: Document


@dataclass(frozen=True, slots=True)
class Remove:
    """A document whose file is gone, or is no longer in scope."""

    known: Document


@dataclass(frozen=True, slots=True)
class Skip:
    """A file that is seen but not read, and why; `known` when it has a ledger row already."""

    file: FileFacts
    reason: str
    known: Document | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """A document whose file is as the ledger says."""

    known: Document


Change = Add | Update | Move | Remove | Skip | Keep


@dataclass(frozen=True, slots=True)
class FileReason:
    """A file and why it was skipped or failed."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingestion did, counted in documents but for `chunks` (written) and `seconds`."""

    indexed: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: list[FileReason] = field(default_factory=list[FileReason])
    failed: list[FileReason] = field(default_factory=list[FileReason])
    chunks: int = 0
    seconds: float = 0.0


# --- search -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a retriever found; a higher score is better, comparable within one retriever."""

    chunk_id: int
    score: float


@dataclass(frozen=True, slots=True)
class Passage:
    """A found chunk, maybe with its neighbour, and its exact place.

    `stale`: the file changed since it was indexed.
    `suspicious`: it tells a model what to do, as an injected instruction would.
    """

    path: str
    workspace: str
    document_id: int
    chunk_id: int
    chunk_index: int
    text: str
    score: float
    start_line: int
    end_line: int
    page: int | None
    heading: list[str]
    uri: str
    stale: bool = False
    suspicious: bool = False


# --- answers and conversations ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Citation:
    """A numbered source that the model was given; `cited` when `[number]` is in its answer."""

    number: int
    passage: Passage
    cited: bool = False


@dataclass(frozen=True, slots=True)
class AnswerStats:
    """How an answer came about. Times in milliseconds; None where nothing was generated."""

    retrieval_ms: int
    first_token_ms: int | None
    total_ms: int
    prompt_tokens: int | None
    answer_tokens: int | None
    truncated: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its sources. `passages_only`: no model could be asked; `text` says why.

    `grounding`: `cited` (statements name their sources), `uncited` (they name none: check them),
    `declined` (the documents do not say it), `none` (no documents were asked).
    `notice`: a sentence when the search was limited, such as words only.
    """

    text: str
    citations: list[Citation]
    conversation_id: str
    message_id: str
    model: str | None
    mode: Literal["generated", "passages_only"]
    stats: AnswerStats
    notice: str | None = None
    grounding: Grounding = "none"

    @property
    def caution(self) -> str | None:
        """What should be said beside the answer."""
        if self.grounding != "uncited":
            return None
        return "No source is named for this: check it before you rely on it."


@dataclass(frozen=True, slots=True)
class MessageSource:
    """A source as it was when it was cited; it outlives changes of the file."""

    number: int
    document_id: int
    chunk_id: int
    relevance_score: float
    path: str
    start_line: int
    end_line: int
    page: int | None
    heading: list[str]
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    id: str
    role: Role
    content: str
    model: str | None
    created_at: str
    sources: list[MessageSource] = field(default_factory=list[MessageSource])


@dataclass(frozen=True, slots=True)
class Summary:
    """What was said in a conversation up to and with the message `until`, in short."""

    until: str
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A chat, shared by all clients. `messages` is empty where only a list was asked for."""

    id: str
    title: str
    created_at: str
    updated_at: str
    message_count: int
    messages: list[Message] = field(default_factory=list[Message])


# --- models and jobs ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message as a chat model is given it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of an answer, as the model produced it."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an answer. Token counts are the model's own, None where it gave none.

    `reason`: `stop` (the model ended) or `length` (the token limit was reached).
    """

    reason: str
    prompt_tokens: int | None = None
    answer_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model the provider offers. `context_length` in tokens, `size` in bytes, None if unknown."""

    name: str
    size: int | None = None
    parameters: str | None = None
    quantization: str | None = None
    context_length: int | None = None
    capabilities: list[str] = field(default_factory=list[str])
    modified_at: str | None = None
    in_use: bool = False


@dataclass(frozen=True, slots=True)
class PullProgress:
    """A step of downloading a model; bytes, None while unknown."""

    status: str
    completed: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Work that outlives the call that began it."""

    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    path: str
    done: int
    total: int | None
    message: str
    created_at: str
    report: IngestReport | None = None


# --- what operations return ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Ranked passages. `notice`: a sentence when the search was limited, such as words only."""

    passages: list[Passage]
    notice: str | None = None
    retrieval_ms: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """A candidate's place in a list, counted from 1, and its score there."""

    place: int
    score: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage that a search met, where it stood in each list, and what became of it.

    `dense` is by meaning (cosine), `lexical` by words (BM25), `fused` by both, `reranked` by the
    words of what was read, `judged` by the reranker of the settings, in its own scores. None where
    a list lacks it. The passage's text is its beginning.

    `outcome`: `shown`; `joined` to the passage with the chunk id `other`, which stands above it and
    beside it in the document; `repeats` or `overlaps` that one; `far_below` the best one;
    `over_limit`: enough were shown before it; `not_read`: too far down to be reranked.
    """

    passage: Passage
    dense: Standing | None
    lexical: Standing | None
    fused: Standing
    reranked: Standing | None
    judged: Standing | None
    outcome: Outcome
    other: int | None = None

    @property
    def verdict(self) -> str:
        """The outcome in words."""
        match self.outcome:
            case "shown":
                return "shown"
            case "joined":
                return f"joined to chunk {self.other}, its neighbour"
            case "far_below":
                return "dropped: far below the best"
            case "repeats":
                return f"dropped: repeats chunk {self.other}"
            case "overlaps":
                return f"dropped: overlaps chunk {self.other}"
            case "over_limit":
                return "dropped: over the limit"
            case _:
                return "dropped: too far down to be read"


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a search came to its passages.

    `terms` and `phrases` are what was searched for by words, `stops` the words that were left out
    as too common. `judge` is the reranker of the settings, None where words decide. `candidates`
    are in their last order, the shown ones and all others.
    """

    query: str
    terms: list[str]
    phrases: list[str]
    stops: list[str]
    candidates: list[Candidate]
    judge: str | None = None
    notice: str | None = None
    retrieval_ms: int = 0


@dataclass(frozen=True, slots=True)
class StageScores:
    """How well one stage of the search finds what is expected; shares and means from 0 to 1.

    `first`: the first passage is expected; `hit`: one of the first `top_k` is.
    """

    stage: str
    first: float
    hit: float
    mrr: float
    ndcg: float


@dataclass(frozen=True, slots=True)
class QuestionPlace:
    """The place of the first expected passage among those that were shown, None without one."""

    question: str
    place: int | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A search measured on `questions` questions. The last of the stages is what is shown.

    `settings` are those that decide what is found. `before` is an earlier evaluation that this one
    is compared with; `better` and `worse` count the questions whose place changed since.
    """

    questions: int
    top_k: int
    stages: list[StageScores]
    places: list[QuestionPlace]
    settings: dict[str, str]
    search_ms: int
    before: "Evaluation | None" = None
    better: int = 0
    worse: int = 0
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of a document, `start_line` to `end_line` of `total_lines`.

    `source`: `disk` for a text file as it is now, `index` for the text extracted from a format.
    """

    path: str
    text: str
    start_line: int
    end_line: int
    total_lines: int
    uri: str
    source: Literal["disk", "index"]


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A ledger row as people see it."""

    id: int
    path: str
    workspace: str
    format: str
    state: DocumentState
    reason: str | None
    title: str
    size: int
    chunks: int
    indexed_at: str
    uri: str


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """A page of the ledger; pass `next_cursor` to get the next one."""

    documents: list[DocumentRow]
    total: int
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What was removed from the index; nothing on disk is touched.

    `notice`: a sentence about what goes on after it.
    """

    path: str
    documents: int
    chunks: int
    workspace_removed: bool
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """Conversations, the latest first; pass `next_cursor` to get older ones."""

    conversations: list[Conversation]
    total: int
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """A conversation as one Markdown document."""

    title: str
    markdown: str


@dataclass(frozen=True, slots=True)
class ModelList:
    """The models of the configured provider, and the one in use."""

    models: list[ModelInfo]
    in_use: str | None
    provider: str


@dataclass(frozen=True, slots=True)
class Done:
    """A change that has nothing more to tell."""

    message: str


@dataclass(frozen=True, slots=True)
class EmbedderStatus:
    """The embedder of this data directory; None for both until the first ingestion decides."""

    name: str | None
    dimensions: int | None


@dataclass(frozen=True, slots=True)
class OllamaStatus:
    """Whether the chat provider answers; `reason` is the sentence when it does not."""

    url: str
    reachable: bool
    version: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class VectorStatus:
    """Who serves vector search: `state` is ready, rebuilding, idle or down, with its reason."""

    store: str
    state: str
    pending: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class WorkspaceStatus:
    """A workspace in numbers. `pending`: known changes that are not in the index yet.

    `notice`: why changes are found by looking from time to time only, where the system refuses to
    tell them.
    """

    path: str
    documents: int
    chunks: int
    pending: int
    failed: int
    skipped: int
    watching: bool
    notice: str | None = None


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
class DaemonClient:
    """Somebody at a door of the daemon: `lsp`, `mcp` or `shell`."""

    door: str
    pid: int


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """The shared engine process of a data directory; the rest is empty when none is running."""

    running: bool
    pid: int | None = None
    build: str | None = None
    uptime_seconds: int | None = None
    clients: list[DaemonClient] = field(default_factory=list[DaemonClient])
