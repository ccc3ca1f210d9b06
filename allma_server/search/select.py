"""Which of the ranked passages are shown: what is worth reading, once, and in one piece.

`k` is the most that is shown. Often less is worth it: a passage far below the best one is noise to
a reader, and to a language model as well. A passage must have SHOWN of the best one's score. Who
asks for more than FEW passages also wants lesser ones: at twice as many the bar is half as high.
There is no bar where little was found: far below is known by what else there is.

What is not shown by itself may still complete what is: a chunk that stands beside a shown one in
its document is joined to it, one at most, when it has JOINED of the best score.

Measured with the embedded model on five long documents that Allma cut itself, k = 5 (recall,
precision and intersection over union of characters; `tests/benchmarks/retrieval.py`):

                                  recall  precision    IoU   passages
    all five                        .858       .060   .059        5.0
    the bar alone                   .850       .108   .107        3.7
    the bar and neighbours          .882       .089   .088        3.5

On sets that are searched for ten passages nothing is lost (nDCG@10 as in `fuse.py`), and the gold
answer of a squad question is as often among the five as without (.971).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from allma_server.types import Outcome, Passage

SHOWN, JOINED = 0.35, 0.2
"""Shares of the best score."""

FEW = 5

_SEAM = 40
"""Characters that are at both ends where chunks overlap."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A passage and what becomes of it; `other` is the better one that it repeats or belongs to."""

    passage: Passage
    outcome: Outcome
    other: Passage | None = None


@dataclass(slots=True)
class Selection:
    """A passage that is shown, and its neighbour if that is joined to it."""

    passage: Passage
    neighbour: Passage | None = None


def distinct(passages: Sequence[Passage], k: int) -> list[Passage]:
    """The first `k` passages that are not the same or nearly; none is too bad, none is joined."""
    choices = choose(passages, k, bar=0.0, join=False)
    return [choice.passage for choice in choices if choice.outcome == "shown"]


def chosen(passages: Sequence[Passage], k: int, *, bar: float = SHOWN) -> list[Selection]:
    """The passages that are shown, of passages that stand best first; at most `k`."""
    found: dict[int, Selection] = {}
    for choice in choose(passages, k, bar=bar):
        if choice.outcome == "shown":
            found[choice.passage.chunk_id] = Selection(choice.passage)
        elif choice.outcome == "joined" and choice.other is not None:
            found[choice.other.chunk_id].neighbour = choice.passage
    return list(found.values())


def choose(
    passages: Sequence[Passage], k: int, *, bar: float = SHOWN, join: bool = True
) -> Iterator[Choice]:
    """What becomes of each passage, in their order.

    `bar` is the share of the best score that one must have; with `join`, neighbours are joined.

    A repetition is the same text elsewhere: a copied licence, a vendored file. A chunk overlaps
    another when it shares most lines with a better one of the same document.
    """
    best = passages[0].score * min(1.0, FEW / k) if passages else 0.0
    kept: list[Passage] = []
    completed: set[int] = set()
    texts: dict[str, Passage] = {}
    for passage in passages:
        text = " ".join(passage.text.split())
        beside = join and passage.score >= JOINED * best
        if (other := texts.get(text)) is not None:
            yield Choice(passage, "repeats", other)
        elif (other := _first(kept, passage, _overlap)) is not None:
            yield Choice(passage, "overlaps", other)
        elif (
            beside
            and (other := _first(kept, passage, _adjoin)) is not None
            and other.chunk_id not in completed
        ):
            completed.add(other.chunk_id)
            yield Choice(passage, "joined", other)
        elif len(kept) == k:
            yield Choice(passage, "over_limit")
        elif passage.score < bar * best:
            yield Choice(passage, "below_threshold")
        else:
            texts[text] = passage
            kept.append(passage)
            yield Choice(passage, "shown")


def originals_first(passages: Sequence[Passage]) -> list[Passage]:
    """The passages, of those with the same text the one with the shortest path before its copies.

    It takes the place and the score of the best of them.
    """
    found = list(passages)
    firsts: dict[str, int] = {}
    for index, passage in enumerate(found):
        first = firsts.setdefault(" ".join(passage.text.split()), index)
        if first != index and _depth(passage) < _depth(found[first]):
            copy = found[first]
            found[first] = replace(passage, score=copy.score)
            found[index] = replace(copy, score=passage.score)
    return found


def _depth(passage: Passage) -> tuple[int, int]:
    return len(PurePath(passage.path).parts), len(passage.path)


def _first(
    kept: Sequence[Passage], passage: Passage, related: Callable[[Passage, Passage], bool]
) -> Passage | None:
    return next((other for other in kept if related(passage, other)), None)


def _adjoin(a: Passage, b: Passage) -> bool:
    """Whether one stands right before the other, on the same page."""
    beside = abs(a.chunk_index - b.chunk_index) == 1
    return beside and a.document_id == b.document_id and a.page == b.page


def _overlap(a: Passage, b: Passage) -> bool:
    if a.document_id != b.document_id or abs(a.chunk_index - b.chunk_index) > 1:
        return False
    shared = min(a.end_line, b.end_line) - max(a.start_line, b.start_line) + 1
    fewer = min(a.end_line - a.start_line + 1, b.end_line - b.start_line + 1)
    if fewer == 1 and shared == 1:
        # All of a page may stand on one line: what the first ends with says more.
        first, second = (a, b) if a.chunk_index < b.chunk_index else (b, a)
        return first.text.rstrip()[-_SEAM:] in second.text
    return shared > 0.5 * fewer
