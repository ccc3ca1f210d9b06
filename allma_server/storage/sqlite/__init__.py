"""What is kept: the catalogue in SQLite, and the vector index that can be rebuilt from it."""
