"""Turn the terms of a query into a query of the full-text index; no query parser is involved."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import tantivy
from tantivy import Occur, Query

from allma_server._internal.tokens import QueryTerms, misspelt
from allma_server.storage.full_text.fields import DOCUMENT, PATH, PLACE, TEXT
from allma_server.types import DocumentSet, TermFilter, Terms

K3 = 8.0
"""BM25's usual constant for how soon repetitions of a term in the question count less."""

MAX_TERMS = 512
"""Distinct terms that one search scores; of more, the rarest. A page of text has fewer."""

MAX_EXPANSIONS = 64
"""Words that one prefix or one misspelt term stands for: the most frequent ones."""

MIN_SIMILAR_LENGTH, MAX_SIMILAR_LENGTH = 5, 32
"""Shorter words resemble too many others, and longer ones are hardly words."""

MAX_SIMILAR = 8
"""Unknown words of one query that are compared with others, the first ones."""

SIMILAR_WEIGHT = 0.5
"""What a word that resembles a searched one counts, of what the word itself would count."""


@dataclass(frozen=True, slots=True)
class WordQuery:
    """A query of the index. `similar`: terms that nothing contains, searched by similarity."""

    query: Query
    similar: tuple[str, ...]


def word_query(
    terms: QueryTerms, schema: tantivy.Schema, searcher: tantivy.Searcher
) -> WordQuery | None:
    """Return the query for these terms; None when there is nothing to search for.

    A passage matches that has any of them.
    """
    parts: list[Query] = []
    counts = terms.searched
    frequencies = {term: searcher.doc_freq(TEXT, term) for term in counts}
    known = sorted(filter(frequencies.get, counts), key=frequencies.__getitem__)
    for term in known[:MAX_TERMS]:
        found = Query.term_query(schema, TEXT, term, "freq")
        parts.append(Query.boost_query(found, _times(counts[term])))
    unknown = [t for t in counts if not frequencies[t] and t not in terms.prefixes]
    similar: list[str] = []
    for term in unknown[:MAX_SIMILAR]:
        if (found := _similar(schema, searcher, terms.spellings.get(term, ""))) is not None:
            similar.append(term)
            parts.append(Query.boost_query(found, SIMILAR_WEIGHT))
    parts += [_run(schema, TEXT, phrase) for phrase in terms.phrases[:MAX_EXPANSIONS]]
    parts += [_run(schema, PATH, path) for path in terms.paths[:MAX_EXPANSIONS]]
    prefixes = (_prefix(schema, searcher, prefix) for prefix in terms.prefixes[:MAX_EXPANSIONS])
    parts += [part for part in prefixes if part is not None]
    if not parts:
        return None
    return WordQuery(Query.boolean_query([(Occur.Should, part) for part in parts]), tuple(similar))


def narrowed(query: Query, filters: Sequence[Query]) -> Query:
    """Return the query restricted to what matches all filters; they do not change scores."""
    if not filters:
        return query
    parts = [(Occur.Must, query)]
    parts += [(Occur.Must, Query.const_score_query(each, 0.0)) for each in filters]
    return Query.boolean_query(parts)


def named(schema: tantivy.Schema, searcher: tantivy.Searcher, names: Sequence[str]) -> Query:
    """Return a query for the files with these names, without or with any suffix."""
    terms = {f"name:{name}" for name in names}
    for term in sorted(terms):
        found = searcher.terms_with_prefix(PLACE, f"{term}.", limit=MAX_EXPANSIONS)
        terms.update(each for each, _ in found)
    parts = [(Occur.Should, Query.term_query(schema, PLACE, term, "basic")) for term in terms]
    return Query.boolean_query(parts)


def of_places(schema: tantivy.Schema, documents: DocumentSet) -> list[Query]:
    """Return filters by the terms of places: all documents of the set pass, and maybe others."""
    return [_of_terms(schema, each) for each in documents.filters if each.any_of or each.none_of]


def of_ids(schema: tantivy.Schema, documents: DocumentSet) -> Query:
    """Return a filter that only the documents of the set pass; takes 1 µs for each of them."""
    return Query.term_set_query(schema, DOCUMENT, documents.documents.tolist())


def _of_terms(schema: tantivy.Schema, condition: TermFilter) -> Query:
    any_of = [(Occur.Should, _all_of(schema, terms)) for terms in condition.any_of]
    if not condition.none_of:
        return any_of[0][1] if len(any_of) == 1 else Query.boolean_query(any_of)
    wanted = Query.boolean_query(any_of) if any_of else Query.all_query()
    none_of = [(Occur.MustNot, _all_of(schema, terms)) for terms in condition.none_of]
    return Query.boolean_query([(Occur.Must, wanted), *none_of])


def _all_of(schema: tantivy.Schema, terms: Terms) -> Query:
    found = [Query.term_query(schema, PLACE, term, "basic") for term in sorted(terms)]
    return found[0] if len(found) == 1 else Query.boolean_query([(Occur.Must, f) for f in found])


def _times(count: int) -> float:
    """Return how often a term counts that is in the question so many times."""
    return (K3 + 1) * count / (K3 + count)


def _run(schema: tantivy.Schema, field: str, run: Sequence[str]) -> Query:
    """Return a query for terms that follow each other."""
    if len(run) == 1:
        return Query.term_query(schema, field, run[0], "freq")
    return Query.phrase_query(schema, field, list(run))


def _similar(schema: tantivy.Schema, searcher: tantivy.Searcher, word: str) -> Query | None:
    """Return a query for the words that differ from this one in a letter, the best of which counts.

    An English word is compared before it is stemmed: other endings have other stems.
    """
    if not MIN_SIMILAR_LENGTH <= len(word) <= MAX_SIMILAR_LENGTH or not word.isalpha():
        return None
    if not word.isascii():
        found = Query.fuzzy_term_query(schema, TEXT, word, 1, True)
        return Query.const_score_query(found, log(1 + (searcher.num_docs + 0.5) / 1.5))
    frequencies = {term: searcher.doc_freq(TEXT, term) for term in misspelt(word)}
    known = sorted(filter(frequencies.get, frequencies), key=frequencies.__getitem__, reverse=True)
    return _best_of(schema, known[:MAX_EXPANSIONS])


def _best_of(schema: tantivy.Schema, words: Sequence[str]) -> Query | None:
    """Return a query for these terms, the best of which counts; None for no terms."""
    found = [Query.term_query(schema, TEXT, word, "freq") for word in words]
    return Query.disjunction_max_query(found) if found else None


def _prefix(schema: tantivy.Schema, searcher: tantivy.Searcher, prefix: str) -> Query | None:
    """Return a query for the words that begin like this, the best of which counts."""
    words = searcher.terms_with_prefix(TEXT, prefix, limit=MAX_EXPANSIONS)
    return _best_of(schema, [word for word, _ in words])
