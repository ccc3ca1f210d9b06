"""The bundle for Claude Desktop: packed by its own tool, it starts a server that answers."""

import json
import sys
import zipfile
from pathlib import Path

from tests.clients.conftest import HERE, Home, program

BUNDLE = HERE.parents[1] / "extensions" / "claude-desktop"


def test_the_bundle_is_valid_small_and_starts(home: Home, tmp_path: Path) -> None:
    home.client("mcpb", "validate", str(BUNDLE / "manifest.json"))
    packed = tmp_path / "allma.mcpb"
    home.client("mcpb", "pack", str(BUNDLE), str(packed))
    assert packed.stat().st_size < 100_000
    inside = tmp_path / "unpacked"
    with zipfile.ZipFile(packed) as archive:
        assert set(archive.namelist()) == {"manifest.json", "pyproject.toml", "server.py"}
        archive.extractall(inside)
    # In place of uv, which would install this version from the package index.
    start = [sys.executable, str(inside / "server.py"), str(home.path / "docs")]
    said = home.run(
        [
            *program("mcp-inspector"),
            "--cli",
            *(word for k, v in home.settings.items() for word in ("-e", f"{k}={v}")),
            *("--method", "tools/call", "--tool-name", "search"),
            *("--tool-arg", "query=zebras", "--", *start, "${user_config.folders}"),
        ]
    )
    assert json.loads(said)["structuredContent"]["passages"][0]["path"].endswith("zoo.md")
