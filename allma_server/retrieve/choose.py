"""Which of the ranked passages are shown: no place twice, no text twice, no more than asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from allma_server.model import Outcome, Passage


@dataclass(frozen=True, slots=True)
class Choice:
    """A passage and what becomes of it; `other` is the better one that it repeats or overlaps."""

    passage: Passage
    outcome: Outcome
    other: Passage | None = None


def chosen(passages: Sequence[Passage], k: int) -> list[Passage]:
    """The passages that are shown, of passages that stand best first; at most `k`."""
    return [choice.passage for choice in choose(passages, k) if choice.outcome == "shown"]


def choose(passages: Sequence[Passage], k: int) -> Iterator[Choice]:
    """What becomes of each passage, in their order.

    A repetition is the same text elsewhere: a copied licence, a vendored file. A chunk overlaps
    another when it shares most lines with a better one of the same document.
    """
    kept: list[Passage] = []
    texts: dict[str, Passage] = {}
    for passage in passages:
        if len(kept) == k:
            yield Choice(passage, "over_limit")
            continue
        text = " ".join(passage.text.split())
        if (same := texts.get(text)) is not None:
            yield Choice(passage, "repeats", same)
        elif (near := _overlapped(passage, kept)) is not None:
            yield Choice(passage, "overlaps", near)
        else:
            texts[text] = passage
            kept.append(passage)
            yield Choice(passage, "shown")


def _overlapped(passage: Passage, kept: Sequence[Passage]) -> Passage | None:
    return next((other for other in kept if _overlap(passage, other)), None)


def _overlap(a: Passage, b: Passage) -> bool:
    if a.document_id != b.document_id or abs(a.chunk_index - b.chunk_index) > 1:
        return False
    shared = min(a.end_line, b.end_line) - max(a.start_line, b.start_line) + 1
    return shared > 0.5 * min(a.end_line - a.start_line + 1, b.end_line - b.start_line + 1)
