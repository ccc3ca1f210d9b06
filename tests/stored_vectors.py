"""Print the vectors in Chroma's files: `python -m tests.stored_vectors DIRECTORY`.

A process of its own, because Chroma stores its settings globally in a process.
"""

import json
import sys
from pathlib import Path

import allma_server  # noqa: F401  # pyright: ignore[reportUnusedImport] - no telemetry


def print_vectors(directory: Path) -> None:
    import chromadb
    from chromadb.config import Settings

    client = chromadb.PersistentClient(str(directory), Settings(anonymized_telemetry=False))
    [collection] = client.list_collections()
    for offset in range(0, collection.count(), 1000):
        page = collection.get(limit=1000, offset=offset, include=["embeddings"])
        for id, vector in zip(page["ids"], page["embeddings"], strict=True):  # type: ignore[arg-type]
            sys.stdout.write(json.dumps([id, [float(x) for x in vector]]) + "\n")


if __name__ == "__main__":
    print_vectors(Path(sys.argv[1]))
