"""The fields of the full-text index, and how a chunk fills them.

No text is stored: an entry gives back its chunk's and document's ids, and the texts are in SQLite.
"""

import tantivy

from allma_server._internal.tokens import TOKENS_VERSION, index_terms, lexemes
from allma_server.storage.path_terms import path_terms
from allma_server.storage.sqlite.full_text_outbox import ChunkText

FIELDS_VERSION = 1
"""Increased when the fields or what is in them change; the index is then rebuilt."""

VERSION = f"{TOKENS_VERSION}.{FIELDS_VERSION}"

CHUNK, DOCUMENT = "chunk", "document"
TEXT = "text"
"""The terms of the file's name and the heading, twice, then those of the text, by their order."""
PATH = "path"
"""The terms of the whole path, for file names and parts of paths."""
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


def entry_of(chunk: ChunkText) -> tantivy.Document:
    """Return the index's entry of a chunk."""
    title = [*index_terms(chunk.name), *index_terms(chunk.heading)]
    entry = tantivy.Document()
    entry.add_integer(CHUNK, chunk.chunk_id)
    entry.add_integer(DOCUMENT, chunk.document_id)
    entry.add_text(TEXT, " ".join([*title, *title, *index_terms(chunk.text)]))
    entry.add_text(PATH, " ".join(lexemes(chunk.path)))
    for term in path_terms(chunk.path, chunk.format):
        entry.add_text(PLACE, term)
    return entry
