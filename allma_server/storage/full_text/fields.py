"""The fields of the full-text index, and how a chunk fills them.

No text is stored: an entry gives back its chunk's and document's ids, and the texts are in SQLite.
"""

import tantivy

from allma_server._internal.tokens import TOKENS_VERSION
from allma_server.storage.full_text.entries import PATH, TEXT, terms_of
from allma_server.storage.path_terms import path_terms
from allma_server.storage.sqlite.full_text_outbox import ChunkText

FIELDS_VERSION = 1
"""Increased when the fields or what is in them change; the index is then rebuilt."""

VERSION = f"{TOKENS_VERSION}.{FIELDS_VERSION}"

CHUNK, DOCUMENT = "chunk", "document"
EMPTY = 0
"""What an entry without words has for a chunk."""
PLACE = "place"
"""The file's `path_terms`, by which a search is narrowed."""


def make_schema() -> tantivy.Schema:
    """Return the schema of a new index."""
    builder = tantivy.SchemaBuilder()
    for field in (CHUNK, DOCUMENT):
        builder.add_integer_field(field, indexed=True, fast=True)
    for field in (TEXT, PATH):
        # Terms have no spaces: each is taken as it is.
        builder.add_text_field(field, tokenizer_name="whitespace", index_option="position")
    builder.add_text_field(PLACE, tokenizer_name="raw", index_option="basic")
    return builder.build()


def document_of(chunk: ChunkText) -> tantivy.Document:
    """Return what the index keeps of a chunk."""
    document = tantivy.Document()
    document.add_integer(CHUNK, chunk.chunk_id)
    document.add_integer(DOCUMENT, chunk.document_id)
    for field, terms in terms_of(chunk).items():
        document.add_text(field, " ".join(terms))
    for term in path_terms(chunk.path, chunk.format):
        document.add_text(PLACE, term)
    return document


def empty_document() -> tantivy.Document:
    """Return an entry without words."""
    document = tantivy.Document()
    document.add_integer(CHUNK, EMPTY)
    return document
