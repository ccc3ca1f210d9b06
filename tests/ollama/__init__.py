"""An Ollama-compatible server over real models, for tests.

What Ollama answers was taken from its documentation and from a running server, version 0.33.
"""
