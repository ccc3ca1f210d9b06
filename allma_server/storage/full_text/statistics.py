"""What the full-text index knows of its texts: how many, how long, and how frequent terms are."""

import json
from collections.abc import Iterable
from typing import Any

import tantivy
from tantivy import Query

from allma_server.storage.full_text.entries import TEXT


class IndexedTexts:
    """The texts of one commit; implements `scoring.Indexed`."""

    def __init__(self, searcher: tantivy.Searcher, schema: tantivy.Schema) -> None:
        self.searcher = searcher
        self._schema = schema
        self._means: dict[str, float] = {}

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
        for term, _ in self.searcher.terms_with_prefix(field, "", limit=1):
            query = Query.term_query(self._schema, field, term, "freq")
            for _, address in self.searcher.search(query, 1, count=False).hits:
                explained = json.loads(query.explain(self.searcher, address).to_json())
                return _value_of("avgdl", explained)
        return 0.0


def _value_of(name: str, explained: Any) -> float:
    """Return a value in the tree of an explanation; 0 if it is not there."""
    if explained["description"].startswith(name):
        return float(explained["value"])
    return max((_value_of(name, each) for each in explained.get("details", ())), default=0.0)
