"""Prefixes and limits of embedding models, from their model cards.

Without its prefix a model works, but finds less. Never change a released entry: vectors made with
it are stored, and chunks are cut to its limit.
"""

from typing import NamedTuple


class Card(NamedTuple):
    """Prefixes for documents and queries; `max_tokens` as Ollama runs the model by default."""

    document: str = ""
    query: str = ""
    max_tokens: int = 512  # the limit of nearly all embedding models


_PASSAGES = "Represent this sentence for searching relevant passages: "

# Keys are prefixes of model names; the longest match is used.
CARDS: dict[str, Card] = {
    "all-minilm": Card(max_tokens=256),
    "bge-": Card(query=_PASSAGES),
    "bge-m3": Card(max_tokens=4096),
    "e5-": Card("passage: ", "query: "),
    "embeddinggemma": Card("title: none | text: ", "task: search result | query: ", 2048),
    "multilingual-e5-": Card("passage: ", "query: "),
    "mxbai-embed-": Card(query=_PASSAGES),
    "nomic-embed-code": Card(
        query="Represent this query for searching relevant code: ", max_tokens=4096
    ),
    "nomic-embed-text": Card("search_document: ", "search_query: ", 2048),
    "nomic-embed-text-v2": Card("search_document: ", "search_query: "),
    "qwen3-embedding": Card(
        query="Instruct: Given a web search query, retrieve relevant passages that answer the "
        "query\nQuery:",
        max_tokens=4096,
    ),
    "snowflake-arctic-embed": Card(query=_PASSAGES),
    "snowflake-arctic-embed2": Card(query="query: ", max_tokens=4096),
    "snowflake-arctic-embed-l-v2": Card(query="query: ", max_tokens=4096),
    "snowflake-arctic-embed-m-v2": Card(query="query: ", max_tokens=4096),
}


def card_of(model: str) -> Card:
    """Return the card of `model`, ignoring namespace, tag and case; a default if unknown."""
    name = model.rsplit("/", 1)[-1].split(":")[0].lower().removeprefix("intfloat-")
    known = [key for key in CARDS if name.startswith(key)]
    return CARDS[max(known, key=len)] if known else Card()
