"""What the full-text index knows of its texts: how many, how long, and how frequent terms are."""

import json
from collections.abc import Iterable
from typing import Any

import tantivy
from tantivy import Query

from allma_server.storage.full_text.entries import TEXT


class IndexedTexts:
    """The texts of one commit; implements `scoring.Indexed`. `former`: those of the one before."""

    def __init__(
        self,
        searcher: tantivy.Searcher,
        schema: tantivy.Schema,
        former: "IndexedTexts | None" = None,
    ) -> None:
        self.searcher = searcher
        self._schema = schema
        self._means: dict[str, float] = {}
        # Finding a term takes as long as reading all of them, after each commit.
        self._frequent: dict[str, str] = former._frequent if former is not None else {}

    @property
    def total(self) -> int:
        """How many chunks there are."""
        return self.searcher.num_docs

    def frequency(self, field: str, term: str) -> int:
        """Return how many chunks have the term; removed ones count until their part is merged."""
        return self.searcher.doc_freq(field, term)

    def beginning_with(self, prefix: str, limit: int) -> Iterable[str]:
        """Return the most frequent terms of the text that begin like this."""
        return [word for word, _ in self.searcher.terms_with_prefix(TEXT, prefix, limit=limit)]

    def mean_length(self, field: str) -> float:
        """Return how many terms the field has on average; 0 for an empty index."""
        if field not in self._means:
            self._means[field] = self._explained_mean(field)
        return self._means[field]

    def _explained_mean(self, field: str) -> float:
        """Tantivy only tells the mean where it explains the score of a hit."""
        term = self._frequent.get(field)
        mean = self._mean_explained_by(field, term) if term is not None else None
        if mean is None:
            term = next((t for t, _ in self.searcher.terms_with_prefix(field, "", limit=1)), None)
            mean = self._mean_explained_by(field, term) if term is not None else None
        if term is not None:
            self._frequent[field] = term
        return mean or 0.0

    def _mean_explained_by(self, field: str, term: str) -> float | None:
        """Return the mean by a hit of this term; None if it has none."""
        query = Query.term_query(self._schema, field, term, "freq")
        for _, address in self.searcher.search(query, 1, count=False).hits:
            explained = json.loads(query.explain(self.searcher, address).to_json())
            return _value_of("avgdl", explained)
        return None


def _value_of(name: str, explained: Any) -> float:
    """Return a value in the tree of an explanation; 0 if it is not there."""
    if explained["description"].startswith(name):
        return float(explained["value"])
    return max((_value_of(name, each) for each in explained.get("details", ())), default=0.0)
