"""`generated.py` of the shell: the operations without a command by hand, and what each is for."""

from allma_server.cli.commands import app
from allma_server.cli.commands.operations import without_command

HEAD = '''\
"""Operations without a command written by hand. Written by `python -m extensions.generate`."""

OPERATIONS: dict[str, str] = {
'''


def generated() -> str:
    """The whole file."""
    lines = [f'    "{name}": {_quoted(about)},\n' for name, about in without_command(app).items()]
    return f"{HEAD}{''.join(lines)}}}\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
