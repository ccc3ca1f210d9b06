"""Weaviate, one or several nodes: the only package that imports its client."""
