"""Raise passages that are at the place a query asks for, whatever words they have."""

from collections.abc import Sequence
from dataclasses import replace

from allma_server.search.definitions import definition_place
from allma_server.search.file_names import file_place, named_files
from allma_server.search.overview import overview_files, overview_place
from allma_server.types import Passage

RAISED_SCORE = 1.1
"""To this share of the best score the right place raises a passage: above all others, but not so
far that they fall below the score threshold."""


def sought_names(query: str) -> tuple[str, ...]:
    """Return the names of the files that this query asks for; empty for most queries."""
    return (*overview_files(query), *named_files(query))


def raise_places(query: str, passages: Sequence[Passage]) -> list[Passage]:
    """Return the passages with the scores that their places give them for this query."""
    target = RAISED_SCORE * max((passage.score for passage in passages), default=0.0)
    places = [place_of(query, passage)[0] for passage in passages]
    return [
        replace(p, score=p.score + place * (target - p.score)) if place else p
        for p, place in zip(passages, places, strict=True)
    ]


def place_of(query: str, passage: Passage) -> tuple[float, str]:
    """Return how much a passage is at the place that a query asks for, 0 to 1, and which it is."""
    if place := definition_place(query, passage):
        return place, "defines what is asked for"
    if place := file_place(query, passage):
        return place, "the file of this name"
    if place := overview_place(query, passage):
        return place, "the beginning of a folder"
    return 0.0, ""
