"""AI clients: where each keeps its MCP servers, what it is told about ours, and how it calls.

`CLIENTS` is the list; `install.py` changes a client's file, `handshake.py` does what the client
does when it starts the server. Nothing here is needed to serve.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Value = str | int | bool | list[str] | dict[str, str]
Entry = Mapping[str, Value]
"""What a client's file says of one server."""

Format = Literal["jsonc", "toml", "yaml"]


@dataclass(frozen=True, slots=True)
class Launch:
    """How the server is started: an absolute program, its arguments, and variables to add."""

    program: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Shape:
    """The names a client has for the parts of an entry.

    Without `arguments`, the command is one list of program and arguments. `always` is what its
    entries have besides; where the user has said otherwise, that stands.
    """

    command: str = "command"
    arguments: str | None = "args"
    environment: str = "env"
    always: Entry = field(default_factory=dict[str, Value])

    def write(self, launch: Launch) -> dict[str, Value]:
        """The entry for a launch."""
        words = [launch.program, *launch.arguments]
        if self.arguments is None:
            entry: dict[str, Value] = {self.command: words}
        else:
            entry = {self.command: words[0], self.arguments: words[1:]}
        if launch.environment:
            entry[self.environment] = dict(launch.environment)
        return entry

    def read(self, entry: Mapping[str, object]) -> Launch | None:
        """What an entry starts; None when it starts nothing, such as one with an address."""
        words = _strings(entry.get(self.command))
        if self.arguments is not None:
            words += _strings(entry.get(self.arguments))
        variables = entry.get(self.environment)
        named = variables.items() if isinstance(variables, Mapping) else ()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        environment = {str(k): str(v) for k, v in named}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return Launch(words[0], tuple(words[1:]), environment) if words else None


def _strings(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(each) for each in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return [value] if isinstance(value, str) and value else []


@dataclass(frozen=True, slots=True)
class Client:
    """An AI client.

    `places`: its file for each of Python's `sys.platform`s, the usual one last; one before it is
    meant where it exists, or where its folder does if it has a `*`. `key` is where its servers
    stand. `says` is how it introduces itself, `protocol` the revision of MCP it speaks, and
    `offers` the capabilities it declares. `then`: what makes it see the change.
    """

    name: str
    title: str
    format: Format
    places: Mapping[str, tuple[str, ...]]
    key: str
    says: str
    protocol: str
    then: str
    offers: tuple[str, ...] = ()
    shape: Shape = Shape()


def _everywhere(*places: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(("linux", "darwin", "win32"), places)


def _application(
    file: str, *, before: Mapping[str, str] | None = None
) -> dict[str, tuple[str, ...]]:
    """Where programs with windows keep their settings."""
    usual = {
        "linux": f"{{config}}/{file}",
        "darwin": f"{{home}}/Library/Application Support/{file}",
        "win32": f"{{appdata}}/{file}",
    }
    known = before or {}
    return {p: (known[p], place) if p in known else (place,) for p, place in usual.items()}


_STDIO: Entry = {"type": "stdio"}

CLIENTS = (
    Client(
        "claude-desktop",
        "Claude Desktop",
        "jsonc",
        # Its package for Windows sees its own copy of the folder, and never the usual one.
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
    Client(
        "claude-code",
        "Claude Code",
        "jsonc",
        _everywhere("{claude}/.claude.json"),
        "mcpServers",
        "claude-code",
        "2026-07-28",
        "Start a new session; `/mcp` shows the server.",
        ("roots", "elicitation"),
        Shape(always=_STDIO),
    ),
    Client(
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
    Client(
        "vscode",
        "VS Code",
        "jsonc",
        _application("Code/User/mcp.json"),
        "servers",
        "Visual Studio Code",
        "2025-11-25",
        "Run `MCP: List Servers` in VS Code and start allma.",
        ("roots", "sampling", "elicitation"),
        Shape(always=_STDIO),
    ),
    Client(
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
        "Zed starts it at once; its agent panel's settings show the server.",
    ),
    Client(
        "windsurf",
        "Windsurf",
        "jsonc",
        _everywhere("{home}/.codeium/windsurf/mcp_config.json"),
        "mcpServers",
        "windsurf-client",
        "2025-03-26",
        "Refresh the MCP servers in Windsurf's Cascade panel.",
    ),
    Client(
        "codex",
        "Codex",
        "toml",
        _everywhere("{codex}/config.toml"),
        "mcp_servers",
        "codex-mcp-client",
        "2025-06-18",
        "Start a new session; `/mcp` shows the server.",
        ("elicitation",),
        # Ten seconds, its own limit, are few for the first start after an update.
        Shape(always={"startup_timeout_sec": 30}),
    ),
    Client(
        "gemini",
        "Gemini CLI",
        "jsonc",
        _everywhere("{home}/.gemini/settings.json"),
        "mcpServers",
        "gemini-cli-mcp-client",
        "2025-06-18",
        "Start a new session; `/mcp` shows the server.",
        ("roots",),
    ),
    Client(
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
        Shape(
            command="cmd",
            environment="envs",
            always={"type": "stdio", "name": "allma", "enabled": True, "timeout": 300},
        ),
    ),
    Client(
        "opencode",
        "opencode",
        "jsonc",
        _everywhere("{config}/opencode/opencode.jsonc", "{config}/opencode/opencode.json"),
        "mcp",
        "opencode",
        "2025-11-25",
        "Start a new session.",
        ("roots",),
        Shape(
            arguments=None,
            environment="environment",
            always={"type": "local", "enabled": True},
        ),
    ),
)
