"""What the cards of embedding models say: what to put before a text, and how much they take.

Without its prefix a model still answers, and finds less. An entry never changes once it was
released: vectors made with it are kept, and chunks cut to its measure.
"""

from typing import NamedTuple


class Card(NamedTuple):
    """Prefixes of documents and queries; `max_tokens` as Ollama runs the model by default."""

    document: str = ""
    query: str = ""
    max_tokens: int = 512  # what nearly all embedding models take


_PASSAGES = "Represent this sentence for searching relevant passages: "

# By the beginning of the model's name; the longest that fits counts.
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
    """The card of `model`, whatever its namespace, tag and capitals; a plain one if unknown."""
    name = model.rsplit("/", 1)[-1].split(":")[0].lower().removeprefix("intfloat-")
    known = [key for key in CARDS if name.startswith(key)]
    return CARDS[max(known, key=len)] if known else Card()
