"""The schema as numbered steps; `PRAGMA user_version` counts the steps taken.

A released step is never edited, but that it may leave out what a later one removes: a change is
another function at the end of `MIGRATIONS`.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol


class Migrating(Protocol):
    """What a step may do: run statements in its own transaction."""

    async def execute(self, sql: str) -> int: ...


Migration = Callable[[Migrating], Awaitable[None]]

_CATALOGUE = (
    """
    CREATE TABLE workspaces (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      path TEXT NOT NULL UNIQUE,
      added_at TEXT NOT NULL
    )
    """,
    # `name` is what full-text search sees of the path.
    """
    CREATE TABLE documents (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      workspace_id INTEGER NOT NULL REFERENCES workspaces (id),
      path TEXT NOT NULL UNIQUE,
      name TEXT NOT NULL,
      format TEXT NOT NULL,
      size INTEGER NOT NULL,
      mtime_ns INTEGER NOT NULL,
      inode INTEGER NOT NULL,
      content_hash TEXT NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('indexed', 'skipped', 'failed')),
      reason TEXT,
      title TEXT NOT NULL,
      metadata TEXT NOT NULL,
      chunks INTEGER NOT NULL,
      indexed_at TEXT NOT NULL
    )
    """,
    "CREATE INDEX documents_by_workspace ON documents (workspace_id, state)",
    # Ids are never reused (AUTOINCREMENT), so an old citation cannot point to new text.
    """
    CREATE TABLE chunks (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      document_id INTEGER NOT NULL REFERENCES documents (id),
      chunk_index INTEGER NOT NULL,
      text TEXT NOT NULL,
      context TEXT NOT NULL,
      start_offset INTEGER NOT NULL,
      end_offset INTEGER NOT NULL,
      start_line INTEGER NOT NULL,
      end_line INTEGER NOT NULL,
      page INTEGER,
      heading TEXT NOT NULL,
      text_hash BLOB NOT NULL,
      UNIQUE (document_id, chunk_index)
    )
    """,
    "CREATE INDEX chunks_by_text ON chunks (text_hash)",
)

_VECTORS = (
    "CREATE TABLE embedders (id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE)",
    """
    CREATE TABLE embeddings (
      id INTEGER PRIMARY KEY,
      embedder_id INTEGER NOT NULL REFERENCES embedders (id),
      text_hash BLOB NOT NULL,
      vector BLOB NOT NULL,
      used_on TEXT NOT NULL,
      UNIQUE (embedder_id, text_hash)
    )
    """,
    # A chunk that changes again while pending gets a new `seq`, so that acknowledging the old
    # change does not lose the new one.
    """
    CREATE TABLE vector_outbox (
      seq INTEGER PRIMARY KEY AUTOINCREMENT,
      chunk_id INTEGER NOT NULL UNIQUE ON CONFLICT REPLACE
    )
    """,
)

_CONVERSATIONS = (
    """
    CREATE TABLE conversations (
      id TEXT NOT NULL PRIMARY KEY,
      title TEXT NOT NULL,
      created_at TEXT NOT NULL,
      updated_at TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE messages (
      seq INTEGER PRIMARY KEY,
      id TEXT NOT NULL UNIQUE,
      conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
      role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'system')),
      content TEXT NOT NULL,
      model TEXT,
      created_at TEXT NOT NULL
    )
    """,
    "CREATE INDEX messages_by_conversation ON messages (conversation_id)",
    # No reference to documents or chunks: sources outlive them.
    """
    CREATE TABLE message_sources (
      id INTEGER PRIMARY KEY,
      message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
      number INTEGER NOT NULL,
      document_id INTEGER NOT NULL,
      chunk_id INTEGER NOT NULL,
      relevance_score REAL NOT NULL,
      path TEXT NOT NULL,
      start_line INTEGER NOT NULL,
      end_line INTEGER NOT NULL,
      page INTEGER,
      heading TEXT NOT NULL,
      text TEXT NOT NULL
    )
    """,
    "CREATE INDEX message_sources_by_message ON message_sources (message_id)",
)

_JOBS_AND_SETTINGS = (
    """
    CREATE TABLE jobs (
      id TEXT NOT NULL PRIMARY KEY,
      kind TEXT NOT NULL,
      state TEXT NOT NULL,
      path TEXT NOT NULL,
      done INTEGER NOT NULL,
      total INTEGER,
      message TEXT NOT NULL,
      created_at TEXT NOT NULL,
      report TEXT
    )
    """,
    "CREATE TABLE settings (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
)


async def first_schema(tx: Migrating) -> None:
    """Create the catalogue, vectors and their outbox, conversations, jobs and settings."""
    for statement in (*_CATALOGUE, *_VECTORS, *_CONVERSATIONS, *_JOBS_AND_SETTINGS):
        await tx.execute(statement)


async def rules_of_workspaces(tx: Migrating) -> None:
    """Add the rules (chunk sizes, limits, version) by which a whole workspace was last read."""
    await tx.execute("ALTER TABLE workspaces ADD COLUMN rules TEXT NOT NULL DEFAULT ''")


async def summaries_of_conversations(tx: Migrating) -> None:
    """Add summaries of long conversations; deleted with the last message they cover."""
    await tx.execute(
        """
        CREATE TABLE summaries (
          conversation_id TEXT NOT NULL PRIMARY KEY
            REFERENCES conversations (id) ON DELETE CASCADE,
          until TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
          text TEXT NOT NULL
        )
        """
    )


async def groundings_of_answers(tx: Migrating) -> None:
    """Add the grounding of answers; NULL for questions, and for answers before this step."""
    await tx.execute("ALTER TABLE messages ADD COLUMN grounding TEXT")


async def codes_of_reasons(tx: Migrating) -> None:
    """Add the error code of skipped and failed files; NULL before this step."""
    await tx.execute("ALTER TABLE documents ADD COLUMN reason_code TEXT")


async def approval_of_workspaces(tx: Migrating) -> None:
    """Add approval: an imported workspace is only proposed, and not read until it is approved."""
    await tx.execute("ALTER TABLE workspaces ADD COLUMN approved INTEGER NOT NULL DEFAULT 1")


async def disks_of_workspaces(tx: Migrating) -> None:
    """Add the disks of a workspace: {path: device number} of its root and inner mount points."""
    await tx.execute("ALTER TABLE workspaces ADD COLUMN disks TEXT NOT NULL DEFAULT '{}'")


async def refused_chunks(tx: Migrating) -> None:
    """Add the id of the embedder that refuses a chunk's text; NULL for all other chunks."""
    await tx.execute("ALTER TABLE chunks ADD COLUMN refused_by INTEGER")


async def full_text_outside(tx: Migrating) -> None:
    """Replace SQLite's full-text index by an outbox for the one beside the database.

    A chunk that changes again while pending gets a new `seq`, as in the outbox of the vectors.
    """
    await tx.execute("DROP TABLE IF EXISTS chunks_terms")
    await tx.execute("DROP TABLE IF EXISTS chunks_fts")
    await tx.execute("DELETE FROM settings WHERE key = 'tokens_version'")
    await tx.execute(
        """
        CREATE TABLE full_text_outbox (
          seq INTEGER PRIMARY KEY AUTOINCREMENT,
          chunk_id INTEGER NOT NULL UNIQUE ON CONFLICT REPLACE
        )
        """
    )
    await tx.execute("INSERT INTO full_text_outbox (chunk_id) SELECT id FROM chunks ORDER BY id")


async def users(tx: Migrating) -> None:
    """Add credentials, of which only hashes are stored, and the user of each conversation.

    The owner of the engine has no entry: their conversations have no user.
    """
    await tx.execute(
        """
        CREATE TABLE credentials (
          id INTEGER PRIMARY KEY AUTOINCREMENT,
          kind TEXT NOT NULL CHECK (kind IN ('token', 'browser', 'code')),
          hash BLOB NOT NULL UNIQUE,
          name TEXT,
          can TEXT NOT NULL,
          workspaces TEXT NOT NULL,
          created_at TEXT NOT NULL,
          expires_at TEXT
        )
        """
    )
    await tx.execute(
        "CREATE UNIQUE INDEX tokens_by_name ON credentials (name) WHERE kind = 'token'"
    )
    await tx.execute("ALTER TABLE conversations ADD COLUMN user TEXT")


async def shares(tx: Migrating) -> None:
    """Add the folders that are shared in a cluster, and the outbox of their chunks.

    `collection`: where the cluster has it; empty before it was published. `published`: the last
    change that is there, as the cluster was told too.
    """
    await tx.execute(
        """
        CREATE TABLE shares (
          id INTEGER PRIMARY KEY AUTOINCREMENT,
          path TEXT NOT NULL UNIQUE,
          name TEXT NOT NULL UNIQUE,
          removed INTEGER NOT NULL DEFAULT 0,
          collection TEXT NOT NULL DEFAULT '',
          published INTEGER NOT NULL DEFAULT 0
        )
        """
    )
    await tx.execute(
        """
        CREATE TABLE share_outbox (
          seq INTEGER PRIMARY KEY AUTOINCREMENT,
          share_id INTEGER NOT NULL REFERENCES shares (id) ON DELETE CASCADE,
          chunk_id INTEGER NOT NULL,
          UNIQUE (share_id, chunk_id) ON CONFLICT REPLACE
        )
        """
    )


async def recognised_pages(tx: Migrating) -> None:
    """Add the text that was recognised in the pages of documents, by the hash of their content."""
    await tx.execute(
        """
        CREATE TABLE recognised_pages (
          document_id INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
          file_hash TEXT NOT NULL,
          page INTEGER NOT NULL,
          text TEXT NOT NULL,
          confidence REAL NOT NULL,
          problem TEXT NOT NULL,
          PRIMARY KEY (document_id, page)
        )
        """
    )
    await tx.execute("CREATE INDEX recognised_by_content ON recognised_pages (file_hash)")


async def embedders_of_shares(tx: Migrating) -> None:
    """Add the embedder of a share, `provider/model`; NULL: it is this engine's own."""
    await tx.execute("ALTER TABLE shares ADD COLUMN embedder TEXT")


MIGRATIONS: tuple[Migration, ...] = (
    first_schema,
    rules_of_workspaces,
    summaries_of_conversations,
    groundings_of_answers,
    codes_of_reasons,
    approval_of_workspaces,
    disks_of_workspaces,
    refused_chunks,
    full_text_outside,
    users,
    shares,
    recognised_pages,
    embedders_of_shares,
)
