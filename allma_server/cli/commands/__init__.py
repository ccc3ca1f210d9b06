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
    tokens,
)
from allma_server.cli.commands.operations import add_commands
from allma_server.cli.program import program

app = program("One local engine that knows your folders, and answers from them.")

# As the help lists them.
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
):
    app.add_typer(subject.app)
add_commands(app)
