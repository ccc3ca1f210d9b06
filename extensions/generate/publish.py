"""Generate the MCP server's publications: Claude Desktop's bundle and the registry entry."""

import json
import tomllib
from pathlib import Path

from allma_server import __version__
from allma_server.config import Config
from allma_server.protocols.tools import TOOLS

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
REGISTERED = "io.github.allma/allma-server"
"""The name in the registry. The README contains it too, as proof of ownership."""

SUMMARY = "Search your folders and documents, and answer questions from them with exact sources."
LONG_DESCRIPTION = """\
Allma indexes folders and documents on this computer (PDF, DOCX, Markdown, HTML, notebooks, source \
code and more), finds passages by meaning and by keywords, and cites file, line and page. \
Everything stays on this machine. With Ollama it also generates answers with numbered sources."""


def manifest() -> str:
    """Return the manifest of the bundle, which Claude Desktop runs with uv."""
    project = _project()
    return _json(
        {
            "manifest_version": "0.4",
            "name": "allma",
            "display_name": "Allma",
            "version": __version__,
            "description": SUMMARY,
            "long_description": LONG_DESCRIPTION,
            "author": {"name": "Allma"},
            "license": project["license"],
            "keywords": project["keywords"],
            "server": {
                "type": "uv",
                "entry_point": "server.py",
                "mcp_config": {
                    "command": "uv",
                    "args": [
                        *("run", "--directory", "${__dirname}", "server.py"),
                        "${user_config.folders}",
                    ],
                },
            },
            "user_config": {
                "folders": {
                    "type": "directory",
                    "title": "Folders",
                    "description": "Folders to index and search. None: search everything indexed.",
                    "multiple": True,
                    "required": False,
                }
            },
            "tools": [
                {"name": tool.name, "description": tool.description.partition(". ")[0]}
                for tool in TOOLS
            ],
            "prompts_generated": True,
            "compatibility": {
                "platforms": ["darwin", "linux", "win32"],
                "runtimes": {"python": project["requires-python"]},
            },
        }
    )


def bundled_project() -> str:
    """Return the project file from which uv installs the bundle."""
    project = _project()
    return (
        "[project]\n"
        'name = "allma-bundle"\n'
        f'version = "{__version__}"\n'
        f'requires-python = "{project["requires-python"]}"\n'
        f'dependencies = ["{project["name"]}=={__version__}"]\n'
    )


def server() -> str:
    """Return the entry of the MCP registry; launchers run it as `uvx allma-server mcp`."""
    described = {
        f"ALLMA_{key.upper()}": Config.model_fields[key].description
        for key in ("data_dir", "ollama_url", "chat_model")
    }
    folder = {
        "type": "named",
        "name": "--workspace",
        "description": "A folder to index and search.",
        "format": "filepath",
        "isRepeated": True,
    }
    package = {
        "registryType": "pypi",
        "identifier": _project()["name"],
        "version": __version__,
        "runtimeHint": "uvx",
        "transport": {"type": "stdio"},
        "packageArguments": [{"type": "positional", "value": "mcp"}, folder],
        "environmentVariables": [
            {"name": name, "description": text} for name, text in described.items()
        ],
    }
    return _json(
        {
            "$schema": SCHEMA,
            "name": REGISTERED,
            "title": "Allma",
            "description": SUMMARY,
            "version": __version__,
            "packages": [package],
        }
    )


def _project() -> dict[str, str]:
    return tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
