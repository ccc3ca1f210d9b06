"""Vector stores: where the vectors of chunks are searched.

To add a store, write one file here with a class that implements `ports.VectorStore`, and name it
in VECTOR_STORES. `tests/contract/test_vector_store.py` then tests it.
"""

from collections.abc import Callable, Mapping

from allma_server.errors import InvalidArgument
from allma_server.ports import VectorStore
from allma_server.storage.vectors.config import VectorStoreConfig
from allma_server.storage.vectors.exact_store import EXACT
from allma_server.storage.vectors.stores.chroma import ChromaStore
from allma_server.storage.vectors.stores.weaviate import WeaviateStore

VECTOR_STORES: Mapping[str, Callable[[VectorStoreConfig], VectorStore]] = {
    "chroma": ChromaStore,
    "weaviate": WeaviateStore,
}


def check_store_name(name: str) -> None:
    """Raise InvalidArgument, naming the stores, unless `name` is one of them."""
    names = [*VECTOR_STORES, EXACT]
    if name not in names:
        raise InvalidArgument(
            f"There is no vector store {name!r}.",
            f"Set vector_store to one of: {', '.join(names)}.",
        )
