"""What embedding models want before a text, as their model cards say.

Without it they still answer, and find less. An entry never changes once it was released, as the
vectors made with it are kept.
"""

from typing import NamedTuple


class Prefixes(NamedTuple):
    """Put before each document, and before each query."""

    document: str = ""
    query: str = ""


_PASSAGES = "Represent this sentence for searching relevant passages: "

# By the beginning of the model's name; the longest that fits counts.
PREFIXES: dict[str, Prefixes] = {
    "bge-": Prefixes(query=_PASSAGES),
    "bge-m3": Prefixes(),
    "e5-": Prefixes("passage: ", "query: "),
    "embeddinggemma": Prefixes("title: none | text: ", "task: search result | query: "),
    "multilingual-e5-": Prefixes("passage: ", "query: "),
    "mxbai-embed-": Prefixes(query=_PASSAGES),
    "nomic-embed-code": Prefixes(query="Represent this query for searching relevant code: "),
    "nomic-embed-text": Prefixes("search_document: ", "search_query: "),
    "qwen3-embedding": Prefixes(
        query="Instruct: Given a web search query, retrieve relevant passages that answer the "
        "query\nQuery:"
    ),
    "snowflake-arctic-embed": Prefixes(query=_PASSAGES),
    "snowflake-arctic-embed2": Prefixes(query="query: "),
    "snowflake-arctic-embed-l-v2": Prefixes(query="query: "),
    "snowflake-arctic-embed-m-v2": Prefixes(query="query: "),
}


def prefixes_for(model: str) -> Prefixes:
    """The prefixes of `model`, whatever its namespace, tag and capitals; none if it is unknown."""
    name = model.rsplit("/", 1)[-1].split(":")[0].lower().removeprefix("intfloat-")
    known = [key for key in PREFIXES if name.startswith(key)]
    return PREFIXES[max(known, key=len)] if known else Prefixes()
