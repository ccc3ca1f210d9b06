"""One engine per data directory, shared by all clients: its process, and the way to reach it."""
