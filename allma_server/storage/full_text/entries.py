"""What the full-text index sees of a chunk: its terms in each field."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from allma_server._internal.tokens import index_terms, lexemes
from allma_server.storage.sqlite.full_text_outbox import ChunkText
from allma_server.types import Run, WordUse

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


def use_of(words: Sequence[str], runs: Iterable[Run]) -> WordUse:
    """Return how a text of these words uses the runs of a query."""
    counts = Counter(words)
    uses = {run: counts[run[0]] if len(run) == 1 else occurrences(words, run) for run in runs}
    return WordUse(len(words), {run: n for run, n in uses.items() if n})


def occurrences(terms: Sequence[str], run: Sequence[str]) -> int:
    """Return how often terms follow each other like this."""
    wanted, starts = list(run), range(len(terms) - len(run) + 1)
    return sum(terms[at] == run[0] and list(terms[at : at + len(run)]) == wanted for at in starts)


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
