"""Keep passages that only inherit the words of a query below those that have them.

A chunk is indexed with the headings above it. In the first chunk of a section the heading is part
of the text; the chunks further down only inherit it. There it is true of all of them, so it tells
none of them from the others, and such a chunk must not outrank a text that has the words itself.
"""

from collections.abc import Sequence
from dataclasses import replace

from allma_server._internal.tokens import lexemes, query_terms
from allma_server.types import Passage

MIN_TERMS = 2
"""A single word as a query is a subject, and a section with this heading is about it."""


def lower_inherited(query: str, passages: Sequence[Passage]) -> list[Passage]:
    """Return the passages, best first, those with the words of the query in headings alone lower.

    Args:
        query: as the user wrote it.
        passages: in any order.
    """
    ordered = sorted(passages, key=lambda p: -p.score)
    inherited = [only_inherits(query, passage) for passage in ordered]
    if not any(inherited):
        return ordered
    wanted = set(query_terms(query).terms)
    own = [p.score for p in ordered if wanted.issubset(lexemes(p.text))]
    limit = min(own, default=ordered[0].score)
    lowered = [
        (replace(p, score=min(p.score, limit)) if below else p, below)
        for p, below in zip(ordered, inherited, strict=True)
    ]
    return [p for p, _ in sorted(lowered, key=lambda pair: (-pair[0].score, pair[1]))]


def only_inherits(query: str, passage: Passage) -> bool:
    """Return whether the headings have all words of the query and the text has none of them."""
    wanted = set(query_terms(query).terms)
    if len(wanted) < MIN_TERMS or not wanted.issubset(lexemes("\n".join(passage.heading))):
        return False
    return wanted.isdisjoint(lexemes(passage.text))
