"""Check an installation and its settings, and repair its index."""
