"""Generates files that follow from the server's code.

For the extensions: protocol types, settings, the Neovim client's tables and help, and the manifests
for AI clients. For the shell: the commands of operations without a handwritten one.
`python -m extensions.generate` writes them; a test fails if one is not up to date.
"""

from collections.abc import Callable
from pathlib import Path

from extensions.generate import commands, help_page, lua, package, publish, typescript

EXTENSIONS = Path(__file__).parents[1]

FILES: dict[str, Callable[[str], str]] = {
    "web/src/protocol.ts": lambda _: typescript.types(),
    "vscode/src/protocol.ts": lambda _: typescript.requests(),
    "vscode/package.json": package.with_settings,
    "neovim/lua/allma/types.lua": lambda _: lua.types(),
    "neovim/lua/allma/reference.lua": lambda _: lua.reference(),
    "neovim/doc/allma.txt": lambda _: help_page.page(),
    "claude-desktop/manifest.json": lambda _: publish.manifest(),
    "claude-desktop/pyproject.toml": lambda _: publish.bundled_project(),
    "mcp-registry/server.json": lambda _: publish.server(),
    "../allma_server/cli/commands/generated.py": lambda _: commands.generated(),
}
"""The generated files, relative to `extensions/`, each with a function that returns its content."""


def stale() -> dict[Path, str]:
    """Return the files that are not up to date, with their new content."""
    outdated: dict[Path, str] = {}
    for name, generate in FILES.items():
        path = EXTENSIONS / name
        present = path.read_text("utf-8") if path.exists() else ""
        content = generate(present)
        if content != present:
            outdated[path] = content
    return outdated
