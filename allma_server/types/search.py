"""Passages, and how a search selected them."""

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal[
    "shown",
    "joined",
    "repeats",
    "overlaps",
    "below_threshold",
    "same_document",
    "over_limit",
    "not_rescored",
]

NoticeCode = Literal[
    "indexing",
    "nothing_indexed",
    "no_match_for_path",
    "embedder_unavailable",
    "full_text_down",
]
"""Why a search may have missed passages."""


@dataclass(frozen=True, slots=True)
class Separation:
    """How an embedder separates the text that answers a question from others, in cosines.

    `signal` is the mean difference between the two, `noise` the standard deviation of the others.
    """

    signal: float
    noise: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A result of a retriever. Higher scores are better; they compare within one retriever only."""

    chunk_id: int
    score: float


@dataclass(frozen=True, slots=True)
class WordHits:
    """What full-text search found, best first, scored by BM25.

    `similar`: terms that nothing contains, for which similar words were searched. `notice`: a
    sentence if words of some documents are not found yet.
    """

    hits: list[Hit]
    similar: tuple[str, ...] = ()
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk found by a search, possibly joined with an adjacent one, and its exact location.

    `stale`: the file has changed since it was indexed.
    `suspicious`: a possible prompt injection.
    `shared`: the name of the folder in the cluster that it is from, if it is not from this engine.
    `unsaved`: the text is that of an open editor, not of the file.
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
    shared: str | None = None
    unsaved: bool = False


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Ranked passages. `notice`: a sentence if the search was limited, such as keyword search only.

    `notice_code`: the reason, for programs.
    """

    passages: list[Passage]
    notice: str | None = None
    retrieval_ms: int = 0
    notice_code: NoticeCode | None = None


@dataclass(frozen=True, slots=True)
class RankedScore:
    """The rank of a candidate in one list, counted from 1, and its score there."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage that a search considered: its rank and score after each stage, and the outcome.

    `dense`: cosine similarity of the vectors. `lexical`: BM25. `fused`: both combined. `rescored`:
    the fused score with what the passage's own words add. `reranked`: the configured reranker's own
    scores. None where a stage did not see the passage. The passage's text is shortened.

    `outcome`: `shown`; `joined` to the passage with the chunk id `other`, its better neighbour;
    `repeats` or `overlaps` that passage; `below_threshold`: its score is too low; `same_document`:
    enough passages of its document were shown beside lower ones of others; `over_limit`: enough
    better passages were shown; `not_rescored`: ranked too low to be read. `raised`: why its place,
    and not its words, raised its score; empty if nothing did.
    `inherits`: only headings further up have the words of the query, so it ranks below texts that
    have them.
    """

    passage: Passage
    dense: RankedScore | None
    lexical: RankedScore | None
    fused: RankedScore
    rescored: RankedScore | None
    reranked: RankedScore | None
    outcome: Outcome
    other: int | None = None
    raised: str = ""
    inherits: bool = False

    @property
    def verdict(self) -> str:
        """The outcome as text."""
        match self.outcome:
            case "shown":
                return "shown"
            case "joined":
                return f"joined to chunk {self.other}, its neighbour"
            case "below_threshold":
                return "dropped: below the score threshold"
            case "repeats":
                return f"dropped: repeats chunk {self.other}"
            case "overlaps":
                return f"dropped: overlaps chunk {self.other}"
            case "same_document":
                return "dropped: enough passages of the same document"
            case "over_limit":
                return "dropped: over the limit"
            case _:
                return "dropped: ranked too low to be rescored"


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a search selected its passages.

    `terms` and `phrases`: the stems and phrases of the full-text query. `stop_words`: words of the
    query that are too common to search for. `prefixes`: beginnings of words, from words with a
    star. `similar`: terms that no document contains, for which similar words were searched.
    `reranker`: the configured one, None where only words are used. `candidates`: all of them, in
    their final order. `knowledge`: how well the embedder knows the query's language, from 0 to 1;
    the dense scores count as much. `code`: the share of the passages that are code, where meaning
    counts more and adjacent words less.
    """

    query: str
    terms: list[str]
    phrases: list[str]
    stop_words: list[str]
    candidates: list[Candidate]
    reranker: str | None = None
    notice: str | None = None
    retrieval_ms: int = 0
    notice_code: NoticeCode | None = None
    knowledge: float = 1.0
    prefixes: list[str] = field(default_factory=list[str])
    similar: list[str] = field(default_factory=list[str])
    code: float = 0.0
