"""AI clients: where each keeps its MCP servers, how an entry looks, and how it connects.

`AI_CLIENTS` is the list; `install.py` changes a client's file, `guide.py` tells it when to use the
tools, and `handshake.py` connects to the server as the client does. The engine does not need this
package.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Value = str | int | bool | list[str] | dict[str, str]
Entry = Mapping[str, Value]
"""The entry of one server in a client's file."""

Format = Literal["jsonc", "toml", "yaml"]


@dataclass(frozen=True, slots=True)
class Launch:
    """How the server is started: an absolute program, its arguments, and additional variables."""

    program: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class EntryFormat:
    """A client's names for the parts of an entry.

    If `arguments` is None, `command` is one list of the program and its arguments. `defaults` are
    further members of a new entry; those of an existing entry are kept.
    """

    command: str = "command"
    arguments: str | None = "args"
    environment: str = "env"
    defaults: Entry = field(default_factory=dict[str, Value])

    def write(self, launch: Launch) -> dict[str, Value]:
        """Return the entry for a launch."""
        words = [launch.program, *launch.arguments]
        if self.arguments is None:
            entry: dict[str, Value] = {self.command: words}
        else:
            entry = {self.command: words[0], self.arguments: words[1:]}
        if launch.environment:
            entry[self.environment] = dict(launch.environment)
        return entry

    def read(self, entry: Mapping[str, object]) -> Launch | None:
        """Return what an entry starts; None without a command, such as an entry with a URL."""
        words = _strings(entry.get(self.command))
        if self.arguments is not None:
            words += _strings(entry.get(self.arguments))
        variables = entry.get(self.environment)
        pairs = variables.items() if isinstance(variables, Mapping) else ()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        environment = {str(k): str(v) for k, v in pairs}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return Launch(words[0], tuple(words[1:]), environment) if words else None


def _strings(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(each) for each in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return [value] if isinstance(value, str) and value else []


@dataclass(frozen=True, slots=True)
class AIClient:
    """An AI client.

    `config_paths`: its configuration file by `sys.platform`, the usual path last. An earlier path
    is used if it exists, or, if it has a `*`, if its folder exists. `servers_key`: the member that
    has the MCP servers. `client_name`, `protocol_version` and `capabilities`: what the client sends
    in its handshake. `after_install`: what the user does so that the client loads the change.
    `instructions`: the file with the user's instructions for every project. `skill`: the file of a
    skill, which the client reads where its description fits.
    """

    name: str
    title: str
    format: Format
    config_paths: Mapping[str, tuple[str, ...]]
    servers_key: str
    client_name: str
    protocol_version: str
    after_install: str
    capabilities: tuple[str, ...] = ()
    entry_format: EntryFormat = EntryFormat()
    instructions: str | None = None
    skill: str | None = None


def _everywhere(*paths: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(("linux", "darwin", "win32"), paths)


def _application(
    file: str, *, before: Mapping[str, str] | None = None
) -> dict[str, tuple[str, ...]]:
    """Return where desktop programs keep their settings."""
    usual = {
        "linux": f"{{config}}/{file}",
        "darwin": f"{{home}}/Library/Application Support/{file}",
        "win32": f"{{appdata}}/{file}",
    }
    known = before or {}
    return {p: (known[p], path) if p in known else (path,) for p, path in usual.items()}


_STDIO: Entry = {"type": "stdio"}

AI_CLIENTS = (
    AIClient(
        "claude-desktop",
        "Claude Desktop",
        "jsonc",
        # The packaged version for Windows has its own copy of the folder instead of the usual one.
        _application(
            "Claude/claude_desktop_config.json",
            before={
                "win32": "{localappdata}/Packages/Claude_*/LocalCache/Roaming/Claude/"
                "claude_desktop_config.json"
            },
        ),
        "mcpServers",
        "claude-ai",
        "2025-11-25",
        "Quit Claude Desktop and start it again.",
        ("extensions",),
    ),
    AIClient(
        "claude-code",
        "Claude Code",
        "jsonc",
        _everywhere("{claude}/.claude.json"),
        "mcpServers",
        "claude-code",
        "2026-07-28",
        "Start a new session; `/mcp` shows the server.",
        ("roots", "elicitation"),
        EntryFormat(defaults=_STDIO),
        instructions="{claude_files}/CLAUDE.md",
        skill="{claude_files}/skills/allma/SKILL.md",
    ),
    AIClient(
        "cursor",
        "Cursor",
        "jsonc",
        _everywhere("{home}/.cursor/mcp.json"),
        "mcpServers",
        "cursor-vscode",
        "2025-11-25",
        "Switch allma on in Cursor's settings, under MCP.",
        ("roots", "elicitation"),
    ),
    AIClient(
        "vscode",
        "VS Code",
        "jsonc",
        _application("Code/User/mcp.json"),
        "servers",
        "Visual Studio Code",
        "2025-11-25",
        "Run `MCP: List Servers` in VS Code and start allma.",
        ("roots", "sampling", "elicitation"),
        EntryFormat(defaults=_STDIO),
    ),
    AIClient(
        "zed",
        "Zed",
        "jsonc",
        {
            "linux": ("{config}/zed/settings.json",),
            "darwin": ("{home}/.config/zed/settings.json",),
            "win32": ("{appdata}/Zed/settings.json",),
        },
        "context_servers",
        "Zed",
        "2025-11-25",
        "Zed starts the server at once; the agent panel's settings show it.",
    ),
    AIClient(
        "windsurf",
        "Windsurf",
        "jsonc",
        _everywhere("{home}/.codeium/windsurf/mcp_config.json"),
        "mcpServers",
        "windsurf-client",
        "2025-03-26",
        "Refresh the MCP servers in Windsurf's Cascade panel.",
    ),
    AIClient(
        "codex",
        "Codex",
        "toml",
        _everywhere("{codex}/config.toml"),
        "mcp_servers",
        "codex-mcp-client",
        "2025-06-18",
        "Start a new session; `/mcp` shows the server.",
        ("elicitation",),
        # Its own limit of ten seconds can be too short for the first start after an update.
        EntryFormat(defaults={"startup_timeout_sec": 30}),
        instructions="{codex}/AGENTS.md",
        skill="{home}/.agents/skills/allma/SKILL.md",
    ),
    AIClient(
        "gemini",
        "Gemini CLI",
        "jsonc",
        _everywhere("{home}/.gemini/settings.json"),
        "mcpServers",
        "gemini-cli-mcp-client",
        "2025-06-18",
        "Start a new session; `/mcp` shows the server.",
        ("roots",),
        instructions="{home}/.gemini/GEMINI.md",
    ),
    AIClient(
        "goose",
        "Goose",
        "yaml",
        {
            "linux": ("{config}/goose/config.yaml",),
            "darwin": ("{home}/.config/goose/config.yaml",),
            "win32": ("{appdata}/Block/goose/config/config.yaml",),
        },
        "extensions",
        "goose",
        "2025-03-26",
        "Start a new session.",
        ("sampling",),
        EntryFormat(
            command="cmd",
            environment="envs",
            defaults={"type": "stdio", "name": "allma", "enabled": True, "timeout": 300},
        ),
    ),
    AIClient(
        "opencode",
        "opencode",
        "jsonc",
        _everywhere("{config}/opencode/opencode.jsonc", "{config}/opencode/opencode.json"),
        "mcp",
        "opencode",
        "2025-11-25",
        "Start a new session.",
        ("roots",),
        EntryFormat(
            arguments=None,
            environment="environment",
            defaults={"type": "local", "enabled": True},
        ),
        instructions="{config}/opencode/AGENTS.md",
    ),
)
