"""The data directory: its lock, the SQLite catalogue, the vector index, archives."""
