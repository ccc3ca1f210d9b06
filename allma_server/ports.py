"""The seams: what the verbs (ingest, retrieve, answer) need from the outside world.

Each is implemented by one file per provider and held to one contract suite. Implementations are
chosen in registries that are literals, and wired in `engine.py` only.
"""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from allma_server.types import (
    AnswerRecord,
    ChatMessage,
    Citation,
    Document,
    Extract,
    FileFacts,
    FileOutcome,
    Finish,
    Hit,
    ModelInfo,
    Parsed,
    Passage,
    PullProgress,
    Summary,
    TextDelta,
    Turn,
    VectorStoreHealth,
    Workspace,
)

Vector = NDArray[np.float32]
"""One embedding: shape (dimensions,), L2-normalised."""

Vectors = NDArray[np.float32]
"""Embeddings of several texts: shape (texts, dimensions), each row L2-normalised."""


class Progress(Protocol):
    """Where an operation says how far it is, and where an answer streams to.

    An answer begins with `started`: the conversation it belongs to, and its question's message.
    """

    async def report(self, done: int, total: int | None, message: str) -> None: ...
    async def started(self, conversation_id: str, message_id: str) -> None: ...
    async def text(self, delta: str) -> None: ...
    async def sources(self, citations: Sequence[Citation]) -> None: ...


class Reader(Protocol):
    """Reads one format: bytes to text with sections, in a worker process.

    `path` gives the name of the file, and is not opened.

    Raises:
        NothingToIndex: the file is sound but holds no text (empty, scanned, no text layer).
        UnreadableDocument: the file is encrypted, damaged, or not what its name says.
    """

    def __call__(self, data: bytes, path: PurePath) -> Extract: ...


class Parser(Protocol):
    """Reads and chunks files in worker processes with limits on time and memory.

    Raises (parse):
        UnreadableDocument: also when a limit was hit or the worker died on this file.
        NothingToIndex: the file holds no text.
    """

    async def parse(self, path: str, size: int = 0, *, urgent: bool = False) -> Parsed:
        """`size`: bytes of the file, which its limits of time grow with.

        `urgent`: does not wait for the files that others have read.
        """
        ...


class Embedder(Protocol):
    """Turns texts into vectors. `identity` names model and preparation; same identity, same space.

    `max_tokens` counts a text's tokens with the model's own start and end marks; `tokenizer_file`
    counts them exactly (tokenizers' JSON form), where there is one.

    Raises (both embed methods):
        InputRefused: one of these texts is not taken, though others are.
        ProviderUnreachable, ModelNotFound, ProviderError: the provider's failures.
    """

    @property
    def identity(self) -> str: ...
    @property
    def dimensions(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def tokenizer_file(self) -> Path | None: ...
    async def embed_documents(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors: ...
    async def embed_query(self, text: str) -> Vector: ...


class ChatModels(Protocol):
    """A provider of chat models: what it has, and answers as they are generated.

    Closing the generator that `stream` returned stops the generation at its source.

    Raises:
        ProviderUnreachable, ModelNotFound, ModelUnsuitable, AnswerInterrupted, ProviderError;
        Unsupported from `pull` and `delete` where the provider has no such thing.
    """

    async def version(self) -> str: ...
    async def list(self) -> list[ModelInfo]: ...
    async def show(self, name: str) -> ModelInfo: ...
    def stream(
        self,
        model: str,
        messages: Sequence[ChatMessage],
        *,
        context_length: int | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> AsyncGenerator[TextDelta | Finish]: ...
    def pull(self, name: str) -> AsyncGenerator[PullProgress]: ...
    async def delete(self, name: str) -> None: ...


class VectorStore(Protocol):
    """An index over the vectors of chunks, which can be rebuilt from SQLite at any time.

    A store holds one collection: the chunks of one data directory and one embedder. It may live in
    this process, in a child process, in files or on a server. Every call can be repeated safely.

    `damage`: what is broken when only `reset` helps; None while nothing is known to be broken.
    `filters_documents`: whether `query` takes `documents`. Where it does not, the caller asks for
    more hits and drops those that are out of scope.

    Raises:
        VectorStoreDown: it does not answer in time, died, or is damaged. `open` may be called
            again.
    """

    @property
    def damage(self) -> str | None: ...
    @property
    def filters_documents(self) -> bool: ...
    async def open(self) -> None:
        """Connect or start, and create the collection if there is none; also after a failure."""
        ...

    async def health(self) -> VectorStoreHealth:
        """Check the store's files or server, and return how much it holds."""
        ...

    async def upsert(self, records: Sequence["VectorRecord"]) -> None: ...
    async def delete(self, chunk_ids: Sequence[int]) -> None: ...
    async def query(
        self, vector: Vector, k: int, documents: Sequence[range] | None = None
    ) -> list[Hit]:
        """Return the `k` most similar chunks, best first, scored by cosine similarity.

        `documents`: ranges of document ids to search in, ascending and disjoint. A workspace is
        such ranges too, and they stay valid when workspaces are merged.
        """
        ...

    async def reset(self) -> None:
        """Empty the collection; also the way out of damage."""
        ...

    async def exists(self) -> bool:
        """Return whether anything may have been written to it; must not start or connect."""
        ...

    async def erase_deleted(self) -> None:
        """Overwrite what deleted chunks left on the disk, as far as the store lets us."""
        ...

    async def remove_others(self) -> None:
        """Delete earlier collections of this data directory on the store's server."""
        ...

    async def close(self) -> None:
        """Finish the call in progress and release everything."""
        ...


class VectorRecord(Protocol):
    """What is kept of a chunk in a vector store."""

    @property
    def chunk_id(self) -> int: ...
    @property
    def vector(self) -> Vector: ...
    @property
    def text(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def chunk_index(self) -> int: ...
    @property
    def document_id(self) -> int: ...
    @property
    def created_at(self) -> str: ...


class Reranker(Protocol):
    """Orders passages for a question anew; returns one score per passage, higher is better."""

    @property
    def name(self) -> str: ...
    async def rerank(self, question: str, passages: Sequence[Passage]) -> list[float]: ...


class Ledger(Protocol):
    """The side of the catalogue that ingestion writes."""

    async def documents(self, workspace_id: int) -> list[Document]: ...
    async def cached_vectors(
        self, embedder: str, hashes: Collection[bytes]
    ) -> Mapping[bytes, Vector]: ...
    async def publish(
        self,
        workspace: Workspace,
        file: FileFacts,
        content_hash: str,
        parsed: Parsed,
        embedder: str,
        vectors: Mapping[bytes, Vector],
    ) -> Document: ...
    async def record(self, workspace: Workspace, outcomes: Sequence[FileOutcome]) -> None: ...
    async def touch(self, document_id: int, file: FileFacts) -> bool: ...
    async def move(self, document_id: int, workspace: Workspace, file: FileFacts) -> None: ...
    async def remove(self, document_ids: Sequence[int]) -> None: ...


class SettingsStore(Protocol):
    """Key-value settings stored with the data."""

    async def get_setting(self, key: str) -> str | None: ...
    async def set_setting(self, key: str, value: str) -> None: ...


class ConversationStore(Protocol):
    """The part of the catalogue that stores conversations.

    Raises:
        ConversationNotFound: the conversation or message does not exist.
        DiskFull, DataReadOnly: from the methods that store something.
    """

    async def begin_turn(self, conversation_id: str | None, question: str) -> Turn:
        """Store a question before it is answered; without an id a conversation begins."""
        ...

    async def unstored_turn(self, conversation_id: str | None, question: str) -> Turn:
        """Return a turn that is not stored."""
        ...

    async def plan_turn(self, replaces: str, question: str) -> Turn:
        """Return a turn that replaces an earlier one; nothing is stored yet."""
        ...

    async def replace_turn(self, turn: Turn) -> None:
        """Store a planned turn in place of the earlier one and all later messages."""
        ...

    async def finish_turn(self, conversation_id: str, answer: AnswerRecord) -> str:
        """Store an answer with copies of its sources and return its message id."""
        ...

    async def summary(self, conversation_id: str) -> Summary | None: ...
    async def save_summary(self, conversation_id: str, summary: Summary) -> None: ...


class FullTextIndex(Protocol):
    """Full-text search over the chunks; BM25, higher is better."""

    async def search_text(
        self, query: str, k: int, documents: Collection[int] | None = None
    ) -> list[Hit]: ...


class PassageStore(Protocol):
    """The side of the catalogue that search reads."""

    async def matching_documents(
        self, workspace: str | None, glob: str | None, formats: Collection[str] | None
    ) -> list[int]: ...
    async def passages(self, hits: Sequence[Hit]) -> list[Passage]: ...
    async def joined(self, passage: Passage, neighbour: Passage) -> Passage:
        """Two passages that stand side by side in their document as one; the first one's score."""
        ...

    async def facts(self, passages: Sequence[Passage]) -> dict[int, tuple[int, int] | None]:
        """Size and mtime_ns of each passage's document when it was indexed, by document id."""
        ...


class VectorSearch(Protocol):
    """Nearest chunks to a vector, whichever store serves; exact when `documents` narrows it."""

    async def nearest(
        self, vector: Vector, k: int, documents: Collection[int] | None = None
    ) -> list[Hit]: ...
    async def vectors_of(self, chunk_ids: Collection[int]) -> dict[int, Vector]:
        """The vectors of those of these chunks that have one."""
        ...
