"""Passages, and how a search came to them."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["shown", "joined", "repeats", "overlaps", "far_below", "over_limit", "not_read"]

NoticeCode = Literal["indexing", "nothing_indexed", "no_match_for_path", "embedder_unavailable"]
"""Why a search may have found less than there is."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a retriever found; a higher score is better, comparable within one retriever."""

    chunk_id: int
    score: float


@dataclass(frozen=True, slots=True)
class Passage:
    """A found chunk, maybe with its neighbour, and its exact place.

    `stale`: the file changed since it was indexed.
    `suspicious`: it tells a model what to do, as an injected instruction would.
    """

    path: str
    workspace: str
    document_id: int
    chunk_id: int
    chunk_index: int
    text: str
    score: float
    start_line: int
    end_line: int
    page: int | None
    heading: list[str]
    uri: str
    stale: bool = False
    suspicious: bool = False


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Ranked passages. `notice`: a sentence when the search was limited, such as words only.

    `notice_code`: its reason, for programs.
    """

    passages: list[Passage]
    notice: str | None = None
    retrieval_ms: int = 0
    notice_code: NoticeCode | None = None


@dataclass(frozen=True, slots=True)
class RankedScore:
    """A candidate's place in a list, counted from 1, and its score there."""

    place: int
    score: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage that a search met, where it stood in each list, and what became of it.

    `dense` is by meaning (cosine), `lexical` by words (BM25), `fused` by both, `reranked` by the
    words of what was read, `judged` by the reranker of the settings, in its own scores. None where
    a list lacks it. The passage's text is its beginning.

    `outcome`: `shown`; `joined` to the passage with the chunk id `other`, which stands above it and
    beside it in the document; `repeats` or `overlaps` that one; `far_below` the best one;
    `over_limit`: enough were shown before it; `not_read`: too far down to be reranked.
    """

    passage: Passage
    dense: RankedScore | None
    lexical: RankedScore | None
    fused: RankedScore
    reranked: RankedScore | None
    judged: RankedScore | None
    outcome: Outcome
    other: int | None = None

    @property
    def verdict(self) -> str:
        """The outcome in words."""
        match self.outcome:
            case "shown":
                return "shown"
            case "joined":
                return f"joined to chunk {self.other}, its neighbour"
            case "far_below":
                return "dropped: far below the best"
            case "repeats":
                return f"dropped: repeats chunk {self.other}"
            case "overlaps":
                return f"dropped: overlaps chunk {self.other}"
            case "over_limit":
                return "dropped: over the limit"
            case _:
                return "dropped: too far down to be read"


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a search came to its passages.

    `terms` and `phrases` are what was searched for by words, `stops` the words that were left out
    as too common. `judge` is the reranker of the settings, None where words decide. `candidates`
    are in their last order, the shown ones and all others.
    """

    query: str
    terms: list[str]
    phrases: list[str]
    stops: list[str]
    candidates: list[Candidate]
    judge: str | None = None
    notice: str | None = None
    retrieval_ms: int = 0
    notice_code: NoticeCode | None = None
