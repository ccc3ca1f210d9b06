"""Files that are written from the server's own code.

Of the extensions: protocol types, settings, the Neovim client's tables and help, and what AI
clients are told. Of the shell: the commands of operations that have none written by hand.
`python -m extensions.generate` writes them; a test fails when one is not up to date.
"""

from collections.abc import Callable
from pathlib import Path

from extensions.generate import commands, help_page, lua, package, publish, typescript

EXTENSIONS = Path(__file__).parents[1]

FILES: dict[str, Callable[[str], str]] = {
    "vscode/src/protocol.ts": lambda _: typescript.protocol(),
    "vscode/package.json": package.with_settings,
    "neovim/lua/allma/types.lua": lambda _: lua.types(),
    "neovim/lua/allma/reference.lua": lambda _: lua.reference(),
    "neovim/doc/allma.txt": lambda _: help_page.page(),
    "claude-desktop/manifest.json": lambda _: publish.manifest(),
    "claude-desktop/pyproject.toml": lambda _: publish.bundled_project(),
    "mcp-registry/server.json": lambda _: publish.server(),
    "../allma_server/cli/commands/generated.py": lambda _: commands.generated(),
}
"""Each generated file, from `extensions/`, and what it should be, given what it is."""


def stale() -> dict[Path, str]:
    """The files that are not up to date, with what they should be."""
    found: dict[Path, str] = {}
    for name, written in FILES.items():
        path = EXTENSIONS / name
        present = path.read_text("utf-8") if path.exists() else ""
        wanted = written(present)
        if wanted != present:
            found[path] = wanted
    return found
