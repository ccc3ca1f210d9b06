"""Select the passages to show: relevant enough, without repetitions, and joined where adjacent.

`k` is a maximum. A passage far below the best one only distracts readers and language models, so it
must reach SCORE_THRESHOLD of the best score. A caller that asks for more than FULL_THRESHOLD_K
passages wants less relevant ones too, so the threshold falls in proportion: at twice as many it is
half as high. The caller passes a threshold of 0 where few candidates were found, because then
there is nothing to compare with.

Each further passage of a document counts less, by REPEATED_DOCUMENT: it has less to say that is
new. So passages of other documents that are nearly as good come in, while the only document on a
subject may fill all places. This changes which passages are shown, but not their order.

A chunk that is not shown by itself can still complete a better one: if it is adjacent to that in
the document and reaches JOIN_THRESHOLD of the best score, the two are joined, at most once each.
Its score alone does not show that it belongs there: feedback raises whatever is like a good one,
and in a small index a few shared words are all there is. So what retrieval itself found in it must
exceed what it found in the rest of the document, by OWN_THRESHOLD of what it found in the better
one: title, path and subject are common to all chunks of a document.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from heapq import heappop, heappush
from itertools import accumulate
from math import inf
from pathlib import PurePath

from allma_server._internal.tokens import lexemes, query_terms
from allma_server.types import Outcome, Passage

SCORE_THRESHOLD, JOIN_THRESHOLD = 0.35, 0.3
"""Shares of the best score; chosen for the IoU of `tests/benchmarks/retrieval.py pieces`."""

OWN_THRESHOLD = 0.2
"""Of the neighbours that are joined, a share of 0.103 to 0.112 is relevant with 0.15 to 0.3, and
0.095 without this condition; with more, few are joined."""

REPEATED_DOCUMENT = 0.9
"""The share of its score that each further passage of a document keeps: of five, the fourth gives
way to one of another document with 0.73 of its score. With more passages it falls more slowly."""

FULL_THRESHOLD_K = 5

_OVERLAP_CHARACTERS = 40
"""How many characters at the end of a one-line chunk are looked for in the next one."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to a passage; `other` is the better one that it repeats or is joined to."""

    passage: Passage
    outcome: Outcome
    other: Passage | None = None


@dataclass(slots=True)
class Selection:
    """A passage to show, with the adjacent chunk that is joined to it, if any."""

    passage: Passage
    neighbour: Passage | None = None


def select_passages(
    passages: Sequence[Passage],
    k: int,
    *,
    threshold: float = SCORE_THRESHOLD,
    found: Mapping[int, float] | None = None,
) -> list[Selection]:
    """Return at most `k` passages to show, of passages that are sorted best first."""
    selected: dict[int, Selection] = {}
    for decision in decide(passages, k, threshold=threshold, found=found):
        if decision.outcome == "shown":
            selected[decision.passage.chunk_id] = Selection(decision.passage)
        elif decision.outcome == "joined" and decision.other is not None:
            selected[decision.other.chunk_id].neighbour = decision.passage
    return list(selected.values())


def deduplicate(passages: Sequence[Passage], k: int) -> list[Passage]:
    """Return the first `k` passages without repetitions, whatever their scores and documents."""
    decisions = decide(passages, k, threshold=0.0, join=False, repeated_document=1.0)
    return [decision.passage for decision in decisions if decision.outcome == "shown"]


def decide(
    passages: Sequence[Passage],
    k: int,
    *,
    threshold: float = SCORE_THRESHOLD,
    found: Mapping[int, float] | None = None,
    join: bool = True,
    repeated_document: float = REPEATED_DOCUMENT,
) -> list[Decision]:
    """Return the decision for each passage, in their order.

    A passage *repeats* another if it has the same text: a copied licence, a vendored file. It
    *overlaps* another if it shares most of its lines with a better chunk of the same document. It
    is of the *same document* as others if, for that reason, lower ones were preferred.

    Args:
        passages: sorted best first.
        k: how many to show at most.
        threshold: the share of the best score that a passage must reach.
        found: what retrieval found in each chunk, in the unit of the scores; None if unknown.
        join: whether adjacent chunks are joined.
        repeated_document: what each further passage of a document counts, as a share of its score.
    """
    best = passages[0].score * min(1.0, FULL_THRESHOLD_K / k) if passages else 0.0
    shown: list[Passage] = []
    completed: set[int] = set()
    decisions: dict[int, Decision] = {}
    joinable = JOIN_THRESHOLD * best if join else inf
    own = _by_document(passages, found)
    lowest = -1
    factor = repeated_document ** min(1.0, FULL_THRESHOLD_K / k)
    for index in _spread_documents(passages, shown, factor):
        passage = passages[index]
        if (repeated := _repeated(passage, shown)) is not None:
            decision = repeated
        elif passage.score >= joinable and (other := _incomplete(passage, shown, completed, own)):
            completed.add(other.chunk_id)
            decision = Decision(passage, "joined", other)
        elif len(shown) == k:
            decision = Decision(passage, "over_limit" if index > lowest else "same_document")
        elif passage.score < threshold * best:
            decision = Decision(passage, "below_threshold")
        else:
            shown.append(passage)
            lowest = max(lowest, index)
            decision = Decision(passage, "shown")
        decisions[index] = decision
    return [decisions[index] for index in range(len(passages))]


def _spread_documents(
    passages: Sequence[Passage], shown: Sequence[Passage], factor: float
) -> Iterator[int]:
    """Yield the indexes of the passages by their worth, which falls with what is `shown` meanwhile.

    The order of two passages of the same document does not change.
    """
    # Passages that were not rescored have a score of another kind: only the order is known.
    scores = list(accumulate((passage.score for passage in passages), min))
    queue = [(-score, index) for index, score in enumerate(scores)]
    while queue:
        value, index = heappop(queue)
        document = passages[index].document_id
        count = sum(passage.document_id == document for passage in shown)
        # A factor would raise a negative score.
        worth = scores[index] * factor**count if scores[index] > 0 else scores[index]
        if -worth > value:
            heappush(queue, (-worth, index))
        else:
            yield index


def _repeated(passage: Passage, shown: Sequence[Passage]) -> Decision | None:
    """Return the decision for a passage that says what one of those shown says."""
    if (other := _first(shown, passage, _same_text)) is not None:
        return Decision(passage, "repeats", other)
    if (other := _first(shown, passage, _overlap)) is not None:
        return Decision(passage, "overlaps", other)
    return None


def prefer_originals(query: str, passages: Sequence[Passage]) -> list[Passage]:
    """Return the passages with copies reordered: the one that is meant gets the best copy's rank.

    Of the same text, that is the one whose headings have the most words of the query (the report of
    that year), else one that is here and not only shared, and else the one with the shortest path.
    """
    ordered = list(passages)
    wanted = frozenset(query_terms(query).terms)
    first_by_text: dict[str, int] = {}
    for index, passage in enumerate(ordered):
        first = first_by_text.setdefault(_normalized(passage.text), index)
        if first != index and _distance(wanted, passage) < _distance(wanted, ordered[first]):
            copy = ordered[first]
            ordered[first] = replace(passage, score=copy.score)
            ordered[index] = replace(copy, score=passage.score)
    return ordered


def _distance(wanted: Collection[str], passage: Passage) -> tuple[int, bool, int, int]:
    named = len(set(wanted).intersection(lexemes("\n".join(passage.heading))))
    is_shared = passage.shared is not None
    return -named, is_shared, len(PurePath(passage.path).parts), len(passage.path)


def _first(
    shown: Sequence[Passage], passage: Passage, related: Callable[[Passage, Passage], bool]
) -> Passage | None:
    return next((other for other in shown if related(passage, other)), None)


def _by_document(
    passages: Sequence[Passage], found: Mapping[int, float] | None
) -> dict[int, dict[int, float]]:
    """Return what retrieval found, by document and chunk; nothing if that is unknown."""
    own: dict[int, dict[int, float]] = {}
    if found is None:
        return own
    for each in passages:
        score = found.get(each.chunk_id, each.score)
        own.setdefault(each.document_id, {})[each.chunk_id] = score
    return own


def _incomplete(
    passage: Passage,
    shown: Sequence[Passage],
    completed: Collection[int],
    own: Mapping[int, Mapping[int, float]],
) -> Passage | None:
    """Return the shown passage beside this one, unless it is complete or this one adds nothing."""
    other = _first(shown, passage, _are_adjacent)
    if other is None or other.chunk_id in completed:
        return None
    found = dict(own.get(other.document_id, {}))
    if not found:
        return other
    added, main = found.pop(passage.chunk_id), found.pop(other.chunk_id)
    excess = added - min(found.values(), default=0.0)
    return other if excess > 0 and excess >= OWN_THRESHOLD * main else None


def _same_text(a: Passage, b: Passage) -> bool:
    return _normalized(a.text) == _normalized(b.text)


@lru_cache(maxsize=1024)
def _normalized(text: str) -> str:
    return " ".join(text.split())


def _are_adjacent(a: Passage, b: Passage) -> bool:
    """Return whether one directly follows the other in a document, on the same page."""
    adjacent = abs(a.chunk_index - b.chunk_index) == 1
    return adjacent and a.document_id == b.document_id and a.page == b.page


def _overlap(a: Passage, b: Passage) -> bool:
    if a.document_id != b.document_id or abs(a.chunk_index - b.chunk_index) > 1:
        return False
    shared = min(a.end_line, b.end_line) - max(a.start_line, b.start_line) + 1
    shorter = min(a.end_line - a.start_line + 1, b.end_line - b.start_line + 1)
    if shorter == 1 and shared == 1:
        # A whole page may be one line, so line numbers do not tell: compare the texts.
        first, second = (a, b) if a.chunk_index < b.chunk_index else (b, a)
        return first.text.rstrip()[-_OVERLAP_CHARACTERS:] in second.text
    return shared > 0.5 * shorter
