"""Folders that engines share in a cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from allma_server.types.search import Passage

if TYPE_CHECKING:  # numpy takes longer to import than a client may wait
    import numpy as np
    from numpy.typing import NDArray

SHARED = "shared: "
"""What the path of a shared document begins with; its share's name and its path there follow."""


Run = tuple[str, ...]
"""Terms that follow each other; a single one is a word."""


@dataclass(frozen=True, slots=True)
class WordPart:
    """What a text may match: one of these runs, of which the best one counts, with a weight."""

    runs: tuple[Run, ...]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class WordUse:
    """How a text uses the runs of a query: how many terms it has, and how often each run."""

    length: int
    counts: Mapping[Run, int]


@dataclass(frozen=True, slots=True)
class WordStatistics:
    """How many texts there are, how many terms they have on average, and texts with each term."""

    total: int
    mean_length: float
    frequencies: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class SharedPassage:
    """A passage of a shared document, as the cluster holds it.

    The path of `passage` begins with `SHARED`; its ids are below zero, so that they are never those
    of a document here. `start`, `end`: its place in the extracted text. `vector`: of its share's
    embedder. `words`: how it uses the query's terms, where words found it.
    """

    passage: Passage
    start: int
    end: int
    vector: "NDArray[np.float32] | None" = None
    words: WordUse | None = None


@dataclass(frozen=True, slots=True)
class SharedHits:
    """What was found in the cluster, best first, and sentences about what was not searched.

    `late`: folders that were not searched in time. Of a search for words: `statistics` of each
    folder, by its name, the `parts` that texts are scored by, and the terms that nothing contains,
    for which `similar` words were searched.
    """

    found: list[SharedPassage] = field(default_factory=list[SharedPassage])
    notices: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    statistics: Mapping[str, WordStatistics] = field(default_factory=dict[str, WordStatistics])
    parts: tuple[WordPart, ...] = ()
    similar: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SharedScope:
    """Where to search in the cluster: shares by name (None: all), and globs for paths in them."""

    names: tuple[str, ...] | None = None
    globs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SharedFolder:
    """A folder that is shared in the cluster.

    `path`: the folder, where this engine shares it; None where another does. `reason`: why it is
    not published yet, or not removed. `pending`: changes that the cluster does not hold yet.
    `words_only`: another embedder than here, so it is searched by words. `embedder`: that of its
    vectors, where it is not this engine's own.
    """

    name: str
    path: str | None
    documents: int
    chunks: int
    state: Literal["published", "publishing", "removing"] = "published"
    pending: int = 0
    reason: str | None = None
    words_only: bool = False
    embedder: str | None = None


@dataclass(frozen=True, slots=True)
class SharedFolders:
    """All shared folders that the principal may see; `notice`: why some may be missing."""

    shares: list[SharedFolder]
    notice: str | None = None
