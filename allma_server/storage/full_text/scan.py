"""Full-text search without an index: score the texts that contain words of the query."""

from collections.abc import Sequence

from allma_server._internal.tokens import QueryTerms
from allma_server.storage.full_text.entries import Entry, entry_of
from allma_server.storage.full_text.parts import word_parts
from allma_server.storage.full_text.scoring import Nothing, Scorer
from allma_server.storage.sqlite.full_text_outbox import ChunkText
from allma_server.types import Hit

MAX_WORDS = 32
"""Words of a query that texts are searched for one by one."""


def words_in(terms: QueryTerms) -> list[str]:
    """Return the words to look for in texts: every text that matches contains one of them.

    A term is the stem of a word, which nearly always begins the word.
    """
    # The stem of "delivery" is "deliveri".
    whole = terms.searched.keys() - set(terms.parts)
    beginnings = [term.removesuffix("i") if len(term) > 3 else term for term in whole]
    parts = [part.removeprefix("_") for part in terms.parts]
    longest = sorted({*beginnings, *parts, *terms.prefixes}, key=len, reverse=True)
    return list(dict.fromkeys(longest))[:MAX_WORDS]


def scan(
    terms: QueryTerms,
    k: int,
    texts: Sequence[ChunkText],
    total: int,
    others: Sequence[Entry] = (),
) -> list[Hit]:
    """Return the `k` texts that match best, scored by BM25 as the index scores.

    `texts`: those with words of the query, of `total` chunks. `others`: more to search.
    """
    entries = [*map(entry_of, texts), *others]
    scorer = Scorer(entries, Nothing(max(0, total - len(entries))))
    hits = scorer.hits(word_parts(terms, scorer).parts, entries)
    return sorted(hits, key=lambda hit: -hit.score)[:k]
