"""Search shared folders for the words of a query, as the index of words here does.

Words, phrases in quotes, beginnings of words (`conf*`) and, for a word that nothing contains, words
that differ from it in a letter. The cluster finds the candidates; what they are worth follows from
their terms, which are stored with them, and from how frequent the terms are in all folders.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

from allma_server._internal.tokens import QueryTerms, misspelt, query_terms
from allma_server.storage.full_text.entries import use_of
from allma_server.storage.full_text.parts import (
    MAX_SIMILAR,
    MAX_SIMILAR_LENGTH,
    MAX_TERMS,
    MIN_SIMILAR_LENGTH,
    SIMILAR_WEIGHT,
    weight_of,
)
from allma_server.storage.shared.chunks import TERMS
from allma_server.storage.shared.tenant import Tenant
from allma_server.types import Run, SharedPassage, WordPart, WordStatistics

MAX_ALONE, ALONE = 4, 30
"""Terms that are searched alone too, and how many hits of each."""

MAX_RUNS = 8
"""Phrases, and prefixes, of one query that are searched."""


@dataclass(frozen=True)
class WordQuery:
    """What is searched for: the terms of a query, and how much each counts."""

    terms: QueryTerms

    @cached_property
    def weights(self) -> Mapping[str, float]:
        wanted = list(self.terms.searched.items())[:MAX_TERMS]
        return {term: weight_of(count) for term, count in wanted}

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Phrases; the title that begins each text has the end of its path, so paths as well."""
        paths = (path for path in self.terms.paths if len(path) > 1)
        return tuple(dict.fromkeys([*self.terms.phrases, *paths]))[:MAX_RUNS]

    @cached_property
    def prefixes(self) -> tuple[str, ...]:
        return self.terms.prefixes[:MAX_RUNS]

    @cached_property
    def counted(self) -> tuple[str, ...]:
        """The terms whose frequency decides what they count."""
        return tuple(dict.fromkeys([*self.weights, *chain.from_iterable(self.runs)]))

    def unknown(self, known: Iterable[WordStatistics]) -> dict[str, set[str]]:
        """Return the terms that no text has, each with words that may have been meant."""
        has = {term for each in known for term, n in each.frequencies.items() if n}
        missing = [t for t in self.weights if t not in has and t not in self.terms.prefixes]
        spelled = {term: self.terms.spellings.get(term, "") for term in missing[:MAX_SIMILAR]}
        return {term: misspelt(word) for term, word in spelled.items() if _may_be_misspelt(word)}


def word_query(query: str) -> WordQuery:
    """Return what is searched for."""
    return WordQuery(query_terms(query))


def _may_be_misspelt(word: str) -> bool:
    is_word = word.isalpha() and word.isascii()
    return is_word and MIN_SIMILAR_LENGTH <= len(word) <= MAX_SIMILAR_LENGTH


@dataclass(slots=True)
class FolderWords:
    """What a folder has of a query: objects, and the words that its prefixes and typos stand for.

    `counted`: whether `frequencies` are of all its texts. Else they are of the objects, which is
    enough where larger folders have been counted.
    """

    tenant: Tenant
    counted: bool
    frequencies: dict[str, int]
    beginning: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    similar: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    objects: list[Any] = field(default_factory=list[Any])

    def texts(self) -> list[list[str]]:
        return [str(each.properties[TERMS]).split() for each in self.objects]

    def others(self) -> list[str]:
        """Return the words that are searched without being in the query."""
        words = [*self.beginning.values(), *self.similar.values()]
        return list(dict.fromkeys(chain.from_iterable(words)))


async def find_words(
    tenant: Tenant,
    query: WordQuery,
    k: int,
    frequencies: Mapping[str, int] | None,
    unknown: Mapping[str, Collection[str]],
) -> FolderWords:
    """Return what a folder has.

    Args:
        tenant: the folder.
        query: what is searched for.
        k: how many objects are wanted of those that match by words.
        frequencies: how many of its texts have each term of the query; None where it is not known.
        unknown: terms that nothing contains, and the words that may have been meant.
    """
    found = FolderWords(tenant, frequencies is not None, dict(frequencies or {}))
    await asyncio.gather(
        *(_beginning(found, prefix) for prefix in query.prefixes),
        *(_similar(found, term, words) for term, words in unknown.items()),
    )
    others = found.others()
    if found.counted and others:
        found.frequencies |= await tenant.frequencies(others)
    searches = [tenant.matching(terms, limit) for terms, limit in _searches(query, found, k)]
    searches += [
        tenant.matching(run, ALONE, all_of=run)
        for run in query.runs
        if not found.counted or all(map(found.frequencies.get, run))
    ]
    objects = chain.from_iterable(await asyncio.gather(*searches))
    found.objects = list({each.uuid: each for each in objects}.values())
    return found


async def _beginning(found: FolderWords, prefix: str) -> None:
    found.beginning[prefix] = await found.tenant.words_beginning(prefix)


async def _similar(found: FolderWords, term: str, words: Collection[str]) -> None:
    found.similar[term] = await found.tenant.words_among(words)


def _searches(query: WordQuery, found: FolderWords, k: int) -> list[tuple[Sequence[str], int]]:
    """Return what to search for in a folder, and how many hits of each.

    Of several terms, Weaviate before 1.38 may leave out the best match once there are more than are
    wanted (weaviate/weaviate#11779, #11780, #12022), so the rarest are searched alone as well.
    """
    counts = found.frequencies
    there = [term for term in query.weights if counts.get(term, 0 if found.counted else 1)]
    searches: list[tuple[Sequence[str], int]] = [(there, k)] if there else []
    if len(there) > 1 and sum(counts.get(term, 0) for term in there) > k:
        rarest = sorted(there, key=lambda term: counts[term])[:MAX_ALONE]
        searches += [((term,), ALONE) for term in rarest]
    if others := found.others():
        searches.append((others, ALONE))
    return searches


def scored(
    query: WordQuery, folders: Sequence[FolderWords], unknown: Collection[str]
) -> tuple[list[SharedPassage], dict[str, WordStatistics], tuple[WordPart, ...]]:
    """Return the passages with their use of words, the statistics of each folder, and the parts."""
    parts = _parts(query, folders, unknown)
    runs = list(dict.fromkeys(run for part in parts for run in part.runs))
    passages: list[SharedPassage] = []
    statistics: dict[str, WordStatistics] = {}
    for each in folders:
        texts = each.texts()
        uses = [use_of(text, runs) for text in texts]
        length = sum(use.length for use in uses) / (len(uses) or 1)
        counts, total = each.frequencies, each.tenant.entry.chunks
        if not each.counted:
            words = {term for run in runs for term in run}
            counts = {word: sum(word in text for text in texts) for word in words}
            total = len(texts)
        total = max(total, *counts.values(), 0)
        statistics[each.tenant.entry.name] = WordStatistics(total, length, counts)
        passages += [
            each.tenant.passage(found, 0.0, use)
            for found, use in zip(each.objects, uses, strict=True)
            if use.counts
        ]
    return passages, statistics, parts


def _parts(
    query: WordQuery, folders: Sequence[FolderWords], unknown: Collection[str]
) -> tuple[WordPart, ...]:
    """Return what a text may match: the parts of the index here, with the words of all folders."""
    parts = [WordPart(((term,),), weight) for term, weight in query.weights.items()]
    parts += [WordPart((run,)) for run in query.runs]
    for prefix in query.prefixes:
        words = chain.from_iterable(each.beginning.get(prefix, ()) for each in folders)
        parts.append(WordPart(tuple((word,) for word in dict.fromkeys(words))))
    for term in unknown:
        words = chain.from_iterable(each.similar.get(term, ()) for each in folders)
        parts.append(WordPart(tuple((w,) for w in dict.fromkeys(words)), SIMILAR_WEIGHT))
    return tuple(part for part in parts if part.runs)
