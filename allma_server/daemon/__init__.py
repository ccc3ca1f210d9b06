"""One engine per data directory, shared by all clients: who serves it, and how it is reached."""
