"""Full-text search: an index beside the database, kept current by an outbox, rebuilt when damaged.

Its terms are made by `_internal/tokens.py`; Tantivy keeps their positions and ranks by BM25.
"""
