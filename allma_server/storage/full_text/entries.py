"""What the full-text index sees of a chunk: its terms in each field."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from allma_server._internal.tokens import index_terms, lexemes
from allma_server.storage.sqlite.full_text_outbox import ChunkText
from allma_server.types import WordUse

TEXT = "text"
"""The terms of the file's name and the heading, twice, then those of the text, by their order."""
PATH = "path"
"""The terms of the whole path, for file names and parts of paths."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A chunk by its terms: by field, in their order, and how often each occurs."""

    chunk_id: int
    document_id: int
    terms: Mapping[str, list[str]]
    counts: Mapping[str, Counter[str]]


def terms_of(chunk: ChunkText) -> dict[str, list[str]]:
    """Return the terms of each field."""
    title = [*index_terms(chunk.name), *index_terms(chunk.heading)]
    return {TEXT: [*title, *title, *index_terms(chunk.text)], PATH: lexemes(chunk.path)}


def use_of(words: Sequence[str], terms: Collection[str]) -> WordUse:
    """Return how a text of these words uses the terms of a query."""
    counts = Counter(words)
    return WordUse(len(words), {term: counts[term] for term in terms if term in counts})


def make_entry(chunk: ChunkText) -> Entry:
    """Return a chunk's entry; takes .1 ms."""
    terms = terms_of(chunk)
    counts = {field: Counter(found) for field, found in terms.items()}
    return Entry(chunk.chunk_id, chunk.document_id, terms, counts)


# A saved chunk is scored by each search until the index holds it.
entry_of = lru_cache(maxsize=256)(make_entry)


@dataclass(frozen=True, slots=True)
class Replacement:
    """Chunks that one search has in place of stored ones.

    `hidden`: the ids of the stored ones. `entries`: makes the others; called in a thread.
    """

    hidden: Collection[int] = ()
    entries: Callable[[], Sequence[Entry]] = list[Entry]
