"""The commands: arguments in, one operation, its result out.

Those of a subject are written by hand in its module; `operations` makes the others.
"""

from importlib import import_module

import typer

from allma_server.cli.commands.generated import OPERATIONS
from allma_server.cli.program import program

MODULES = {
    "indexing": "index sync documents forget",
    "searching": "search explain eval read",
    "conversations": "ask chat conversations",
    "models": "models",
    "engine": "status doctor export import daemon config",
    "clients": "install",
    "pages": "open",
    "tokens": "tokens",
    "servers": "lsp mcp serve http",
    "shares": "share unshare shares",
}
"""The commands of the modules here. Only the module that is needed is imported: all of them would
take as long as a search in a running engine."""

_OTHERS = " ".join(
    group
    for group in dict.fromkeys(name.partition(".")[0] for name in OPERATIONS)
    if group not in " ".join(MODULES.values()).split()
)


def _load(module: str) -> typer.Typer:
    subject: typer.Typer = import_module(f"{__name__}.{module}").app
    names = (MODULES | {"operations": _OTHERS})[module].split()
    generated = {n: text for n, text in OPERATIONS.items() if n.partition(".")[0] in names}
    if generated:
        from allma_server.cli.commands.operations import add_commands

        add_commands(subject, generated)
    return subject


app = program(
    "One local engine that knows your folders, and answers from them.",
    {**MODULES, "operations": _OTHERS},
    _load,
    examples=["allma index .", "allma search retry limit", 'allma ask "How are requests retried?"'],
    sections={
        "Search and ask": "search ask chat open read explain conversations".split(),
        "Index": "index sync documents forget status jobs share unshare shares".split(),
        "Models and settings": "models config".split(),
        "Other programs": "install lsp mcp serve http tokens login".split(),
        "Maintenance": "doctor daemon eval export import".split(),
    },
)
