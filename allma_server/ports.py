"""Ports: the interfaces that indexing, search and answering use.

Each implementation is one file and passes the port's contract tests (`tests/contract/`). Registries
in `documents/`, `providers/` and `storage/` list them; only `engine.py` connects them.
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
    DocumentSet,
    Extract,
    FileFacts,
    FileOutcome,
    Hit,
    ModelInfo,
    Parsed,
    Passage,
    PullProgress,
    RecognisedPage,
    ReplyEvent,
    Run,
    SharedHits,
    SharedScope,
    Summary,
    Think,
    Turn,
    VectorStoreHealth,
    WordHits,
    WordStatistics,
    WordUse,
    Workspace,
)

Vector = NDArray[np.float32]
"""One embedding: shape (dimensions,), L2-normalised."""

Vectors = NDArray[np.float32]
"""Embeddings of several texts: shape (texts, dimensions), each row L2-normalised."""


class Progress(Protocol):
    """Receives the progress of an operation and the stream of an answer.

    An answer begins with `started`, then comes its text, then its sources. The thinking of a model
    comes before the text, and is not part of it.
    """

    async def report(self, done: int, total: int | None, message: str) -> None: ...
    async def started(self, conversation_id: str, message_id: str) -> None:
        """Report the ids of the conversation and of the question's message."""
        ...

    async def thinking(self, delta: str) -> None: ...
    async def text(self, delta: str) -> None: ...
    async def sources(self, citations: Sequence[Citation]) -> None: ...


class Reader(Protocol):
    """Reads one format: bytes to text with sections, in a worker process.

    `path` gives the name of the file, and is not opened.

    Raises:
        NothingToIndex: the file is valid but contains no text (empty, scanned, no text layer).
        UnreadableDocument: the file is encrypted, damaged, or of another format than its suffix.
    """

    def __call__(self, data: bytes, path: PurePath) -> Extract: ...


class Parser(Protocol):
    """Reads and chunks files in worker processes with limits on time and memory.

    Raises (parse):
        UnreadableDocument: also if a limit was exceeded or the worker process died.
        NothingToIndex: the file contains no text.
    """

    async def parse(
        self,
        path: str,
        size: int = 0,
        *,
        urgent: bool = False,
        recognised: Mapping[int, RecognisedPage] | None = None,
        content: bytes | None = None,
    ) -> Parsed:
        """Return the chunks of a file; none while all of its text is to be recognised.

        Args:
            path: the file.
            size: its size in bytes; the time limit grows with it.
            urgent: whether it is read before files in the background.
            recognised: the pages whose text was recognised; None if no text is recognised.
            content: what is read in place of the file, which then only gives the name.
        """
        ...


class TextRecogniser(Protocol):
    """Recognises the text of pages that are pictures (OCR), in a process with limits.

    `identity` names the recogniser and how its text is masked: pages are recognised again under
    another one.
    """

    @property
    def identity(self) -> str: ...
    async def recognise(self, path: str, page: int, file_hash: str) -> RecognisedPage:
        """Return the text of a page, or why it could not be recognised.

        `file_hash` is that of the file's content for `identity` (`_internal/file_hash.py`).

        Raises:
            DocumentNotFound: the file has another content, or cannot be opened.
        """
        ...


class Embedder(Protocol):
    """Turns texts into vectors.

    `identity` names the model and its prefixes: vectors with the same identity are comparable.
    `max_tokens` includes the model's start and end tokens. `tokenizer_file` is in the JSON format
    of the tokenizers library; None if there is none. `urgent` means that a user waits.

    Raises (both embed methods):
        InputRefused: one of these texts is refused, though others are accepted.
        ProviderUnreachable, ModelNotFound, ProviderError: the provider failed.
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
    """A provider of chat models: lists them and streams their answers.

    Closing the generator that `stream` returns stops the generation in the provider.

    Raises:
        ProviderUnreachable, ModelNotFound, ModelUnsuitable, AnswerInterrupted, ProviderError;
        Unsupported from `pull`, `delete` and `next_token` if the provider does not support them.
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
        think: Think = "auto",
        max_thinking: int = 0,
    ) -> AsyncGenerator[ReplyEvent]:
        """Stream a reply.

        Args:
            model: the name of the model.
            messages: the prompt.
            context_length: in tokens; None for the provider's own.
            max_tokens: of the answer, without thinking.
            temperature: 0 for the most likely answer; None for the model's own.
            think: whether a model that can think first does so, where that can be chosen.
            max_thinking: tokens for thinking, beside those of the answer.
        """
        ...

    async def next_token(
        self, model: str, messages: Sequence[ChatMessage], *, context_length: int | None = None
    ) -> Mapping[str, float]:
        """Return the likeliest first tokens of a reply, at most 20, with their probabilities."""
        ...

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
    """A chunk as a vector store receives it."""

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
    """Scores passages for a question: one score per passage, higher is better."""

    @property
    def name(self) -> str: ...
    async def rerank(self, question: str, passages: Sequence[Passage]) -> list[float]: ...


class Ledger(Protocol):
    """The part of the catalogue that indexing writes."""

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
        refused: Mapping[bytes, str] | None = None,
    ) -> Document: ...
    async def record(self, workspace: Workspace, outcomes: Sequence[FileOutcome]) -> None: ...
    async def recognised_pages(self, file_hash: str) -> dict[int, RecognisedPage]: ...
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
    """Full-text search of chunks by BM25, in an index that can be rebuilt from SQLite.

    `documents` restricts it to these documents. Any text is a query: words, phrases in quotes,
    beginnings of words with a star, file names and parts of paths. What was saved before is found.
    """

    async def search_text(
        self, query: str, k: int, documents: DocumentSet | None = None
    ) -> WordHits: ...
    async def documents_named(
        self, names: Sequence[str], documents: DocumentSet | None = None
    ) -> set[int]:
        """Return the ids of documents with these file names, without or with any suffix.

        Some of them if they are very many.
        """
        ...


class PassageStore(Protocol):
    """The part of the catalogue that search reads."""

    async def select_documents(
        self,
        folders: Collection[str] = (),
        globs: Collection[str] = (),
        formats: Collection[str] | None = None,
    ) -> DocumentSet:
        """Return the indexed documents that match every filter that is given."""
        ...

    async def passages(self, hits: Sequence[Hit]) -> list[Passage]: ...
    async def first_chunks(self, document_ids: Collection[int], count: int) -> list[int]:
        """Return the first chunk of `count` of these documents, the nearest to the top."""
        ...

    async def candidates(self, hits: Sequence[Hit]) -> list[Passage]:
        """Return passages for ranking only: secrets are not masked before `shown`."""
        ...

    def shown(self, passage: Passage) -> Passage: ...
    async def joined(self, passage: Passage, neighbour: Passage) -> Passage:
        """Return two adjacent candidates as one to show, with the score of the first."""
        ...

    async def facts(self, passages: Sequence[Passage]) -> dict[int, tuple[int, int] | None]:
        """Return size and mtime_ns of each document when it was indexed, by document id.

        None for a document whose file must not be looked at.
        """
        ...


class VectorSearch(Protocol):
    """Search by vector; `documents` restricts it to these documents."""

    async def nearest(
        self, vector: Vector, k: int, documents: DocumentSet | None = None
    ) -> list[Hit]: ...
    async def vectors_of(self, chunk_ids: Collection[int]) -> dict[int, Vector]:
        """Return the vectors of these chunks, without those that have none."""
        ...


class SharedIndex(Protocol):
    """Search in the folders that other engines share.

    It never fails: what is not searched is a notice of the result.
    """

    async def nearest(
        self, vector: Vector, embedder: str, k: int, scope: SharedScope
    ) -> SharedHits:
        """Return the passages nearest to a vector of this embedder, scored by cosine similarity."""
        ...

    async def search_words(
        self,
        query: str,
        embedder: str | None,
        k: int,
        scope: SharedScope,
        here: WordStatistics | None = None,
    ) -> SharedHits:
        """Return passages that have words of a query, with `statistics` and `parts` to score them.

        `here`: of the terms in the index here, which are not taken for misspelt.
        """
        ...

    async def named(self, names: Sequence[str], scope: SharedScope) -> SharedHits:
        """Return the beginnings of documents with these file names, without or with any suffix."""
        ...


class WordFacts(Protocol):
    """What an index of words knows of its texts, to compare its scores with those of others."""

    async def statistics(self, terms: Collection[str]) -> WordStatistics: ...
    async def uses(
        self, chunk_ids: Collection[int], runs: Collection[Run]
    ) -> Mapping[int, WordUse]:
        """Return how those of these chunks that it has use runs of terms."""
        ...
