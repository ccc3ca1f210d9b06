"""Allma: one local engine that knows your folders and answers from them."""

__version__ = "0.1.0"
