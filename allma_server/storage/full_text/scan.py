"""Full-text search without an index: score the texts that contain words of the query."""

from collections import Counter
from collections.abc import Sequence
from math import log

from allma_server._internal.tokens import QueryTerms, index_terms
from allma_server.storage.sqlite.full_text_outbox import ChunkText
from allma_server.types import Hit

K1, B = 1.2, 0.75
"""BM25's constants, those of the index."""

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


def scan(terms: QueryTerms, k: int, texts: Sequence[ChunkText], total: int) -> list[Hit]:
    """Return the `k` texts that match best, scored by BM25 as the index scores.

    `texts`: those with words of the query, of `total` chunks.
    """
    entries = [_terms(text) for text in texts]
    counts = [Counter(entry) for entry in entries]
    mean = sum(map(len, entries)) / len(entries) if entries else 1.0
    wanted = terms.searched
    idf: dict[str, float] = {}
    for term in wanted:
        n = sum(term in count for count in counts)
        idf[term] = log(1 + (max(total, n) - n + 0.5) / (n + 0.5))
    hits: list[Hit] = []
    for text, entry, count in zip(texts, entries, counts, strict=True):
        k1 = K1 * (1 - B + B * len(entry) / mean)
        score = sum(
            times * idf[term] * (K1 + 1) * count[term] / (count[term] + k1)
            for term, times in wanted.items()
        )
        runs = (run for run in terms.phrases if _has(entry, run))
        score += sum(idf.get(term, 0.0) for run in runs for term in run)
        score += sum(any(t.startswith(prefix) for t in count) for prefix in terms.prefixes)
        if score > 0:
            hits.append(Hit(text.chunk_id, score))
    return sorted(hits, key=lambda hit: -hit.score)[:k]


def _terms(text: ChunkText) -> list[str]:
    title = [*index_terms(text.name), *index_terms(text.heading)]
    return [*title, *title, *index_terms(text.text)]


def _has(entry: Sequence[str], run: Sequence[str]) -> bool:
    return f" {' '.join(run)} " in f" {' '.join(entry)} "
