"""Queries of Tantivy: the parts of a query, and the documents that it is narrowed to."""

from collections.abc import Sequence
from math import log

import tantivy
from tantivy import Occur, Query

from allma_server.storage.full_text.fields import DOCUMENT, PLACE
from allma_server.storage.full_text.parts import MAX_EXPANSIONS, Kind, Part
from allma_server.types import DocumentSet, TermFilter, Terms


def query_of(
    parts: Sequence[Part], schema: tantivy.Schema, searcher: tantivy.Searcher
) -> Query | None:
    """Return the query that a passage matches by any of these parts; None when there are none."""
    found = [_query_of(part, schema, searcher) for part in parts]
    return Query.boolean_query([(Occur.Should, each) for each in found]) if found else None


def _query_of(part: Part, schema: tantivy.Schema, searcher: tantivy.Searcher) -> Query:
    if part.kind is Kind.SIMILAR:
        similar = Query.fuzzy_term_query(schema, part.field, part.terms[0], 1, True)
        found = Query.const_score_query(similar, log(1 + (searcher.num_docs + 0.5) / 1.5))
    elif part.kind is Kind.BEST:
        found = Query.disjunction_max_query(
            [Query.term_query(schema, part.field, term, "freq") for term in part.terms]
        )
    elif len(part.terms) == 1:
        found = Query.term_query(schema, part.field, part.terms[0], "freq")
    else:
        found = Query.phrase_query(schema, part.field, list(part.terms))
    return found if part.weight == 1 else Query.boost_query(found, part.weight)


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
