"""The tree-sitter grammars of `types.LANGUAGES`, each from its own package."""

from functools import cache
from importlib import import_module

GRAMMARS = {
    "bash": ("tree_sitter_bash", "language"),
    "c": ("tree_sitter_c", "language"),
    "c-sharp": ("tree_sitter_c_sharp", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "go": ("tree_sitter_go", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "python": ("tree_sitter_python", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
}
"""The module of each language's grammar and the function in it that returns the grammar."""


@cache
def load_grammar(language: str) -> object:
    """Return the grammar of a language in GRAMMARS, as tree-sitter's bindings take it."""
    module, function = GRAMMARS[language]
    return getattr(import_module(module), function)()
