"""The commands: arguments in, one operation, its result out.

Those of a subject are written by hand in its module; `operations` makes the others.
"""

from allma_server.cli.commands import (
    clients,
    conversations,
    engine,
    indexing,
    models,
    pages,
    searching,
    servers,
    shares,
    tokens,
)
from allma_server.cli.commands.operations import add_commands
from allma_server.cli.program import program

app = program(
    "One local engine that knows your folders, and answers from them.",
    ["allma index .", "allma search retry limit", 'allma ask "How are requests retried?"'],
    {
        "Search and ask": "search ask chat open read explain conversations".split(),
        "Index": "index sync documents forget status share unshare shares".split(),
        "Models and settings": "models config".split(),
        "Other programs": "install lsp mcp serve http tokens".split(),
        "Maintenance": "doctor daemon eval export import".split(),
    },
)


for subject in (
    indexing,
    searching,
    conversations,
    models,
    engine,
    clients,
    pages,
    tokens,
    servers,
    shares,
):
    app.add_typer(subject.app)
add_commands(app)
