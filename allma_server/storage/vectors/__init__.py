"""The vector index: derived from SQLite, kept current by the outbox, rebuilt when damaged."""
