"""Checks of an installation and of its settings, and their repair."""
