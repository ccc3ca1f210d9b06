"""Installing Allma in the configuration files of AI clients."""

import json
import os
import stat
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from allma_server.errors import InvalidArgument, StorageError, Unsupported
from allma_server.integrations import AI_CLIENTS, AIClient, Launch
from allma_server.integrations.install import (
    change_file,
    client_file,
    find_client,
    install,
    installed,
    locate,
    overview,
    own_launch,
    remove,
)

FOLDERS = {
    "home": "/home/me",
    "config": "/home/me/.config",
    "appdata": "C:/Roaming",
    "localappdata": "C:/Local",
    "claude": "/home/me",
    "codex": "/home/me/.codex",
}
MAC = "/home/me/Library/Application Support"
PLACES = {
    "claude-desktop": (
        "/home/me/.config/Claude/claude_desktop_config.json",
        f"{MAC}/Claude/claude_desktop_config.json",
        "C:/Roaming/Claude/claude_desktop_config.json",
    ),
    "claude-code": ("/home/me/.claude.json",) * 3,
    "cursor": ("/home/me/.cursor/mcp.json",) * 3,
    "vscode": (
        "/home/me/.config/Code/User/mcp.json",
        f"{MAC}/Code/User/mcp.json",
        "C:/Roaming/Code/User/mcp.json",
    ),
    "zed": (
        "/home/me/.config/zed/settings.json",
        "/home/me/.config/zed/settings.json",
        "C:/Roaming/Zed/settings.json",
    ),
    "windsurf": ("/home/me/.codeium/windsurf/mcp_config.json",) * 3,
    "codex": ("/home/me/.codex/config.toml",) * 3,
    "gemini": ("/home/me/.gemini/settings.json",) * 3,
    "goose": (
        "/home/me/.config/goose/config.yaml",
        "/home/me/.config/goose/config.yaml",
        "C:/Roaming/Block/goose/config/config.yaml",
    ),
    "opencode": ("/home/me/.config/opencode/opencode.json",) * 3,
}
LAUNCH = Launch("/opt/allma-server", ("mcp",), {"ALLMA_DATA_DIR": "/data"})
PROGRAM = {"command": "/opt/allma-server", "args": ["mcp"]}
ENV = {"env": {"ALLMA_DATA_DIR": "/data"}}
ENTRIES: dict[str, dict[str, Any]] = {
    "claude-desktop": {"mcpServers": {"allma": PROGRAM | ENV}},
    "claude-code": {"mcpServers": {"allma": {"type": "stdio"} | PROGRAM | ENV}},
    "cursor": {"mcpServers": {"allma": PROGRAM | ENV}},
    "vscode": {"servers": {"allma": {"type": "stdio"} | PROGRAM | ENV}},
    "zed": {"context_servers": {"allma": PROGRAM | ENV}},
    "windsurf": {"mcpServers": {"allma": PROGRAM | ENV}},
    "codex": {"mcp_servers": {"allma": {"startup_timeout_sec": 30} | PROGRAM | ENV}},
    "gemini": {"mcpServers": {"allma": PROGRAM | ENV}},
    "goose": {
        "extensions": {
            "allma": {
                "type": "stdio",
                "name": "allma",
                "enabled": True,
                "timeout": 300,
                "cmd": "/opt/allma-server",
                "args": ["mcp"],
                "envs": {"ALLMA_DATA_DIR": "/data"},
            }
        }
    },
    "opencode": {
        "mcp": {
            "allma": {
                "type": "local",
                "enabled": True,
                "command": ["/opt/allma-server", "mcp"],
                "environment": {"ALLMA_DATA_DIR": "/data"},
            }
        }
    },
}
LOADS = {"jsonc": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any client."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def each() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("client", AI_CLIENTS, ids=lambda client: client.name)


@each()
def test_every_client_has_its_file_on_every_platform(client: AIClient) -> None:
    found = [locate(client, system, FOLDERS) for system in ("linux", "darwin", "win32")]
    assert [path.as_posix() for path in found] == list(PLACES[client.name])


@each()
def test_the_entry_has_the_client_s_format_and_is_added_once(client: AIClient, home: Path) -> None:
    first = install(client, LAUNCH)
    path = Path(first.file)
    assert path.is_relative_to(home) and first.written and first.backup is None
    assert LOADS[client.format](path.read_text()) == ENTRIES[client.name]
    assert installed(client) == LAUNCH
    again = install(client, LAUNCH)
    assert not again.written and not again.change
    gone = remove(client)
    assert gone.written and gone.backup and Path(gone.backup).exists()
    assert installed(client) is None
    assert not remove(client).change


@each()
def test_printing_writes_nothing(client: AIClient, home: Path) -> None:
    shown = install(client, LAUNCH, write=False)
    assert "/opt/allma-server" in shown.change and not shown.written
    assert not list(home.rglob("*"))


def test_additions_of_the_user_to_the_entry_are_kept() -> None:
    client = find_client("codex")
    install(client, Launch("/old", ("mcp",)))
    path = client_file(client)
    path.write_text(path.read_text() + 'enabled_tools = ["search"] # only this\n')
    install(client, LAUNCH)
    assert "# only this" in path.read_text()
    entry = tomllib.loads(path.read_text())["mcp_servers"]["allma"]
    assert entry["command"] == "/opt/allma-server" and entry["enabled_tools"] == ["search"]


def test_the_shown_change_contains_no_other_secrets() -> None:
    client = find_client("cursor")
    path = client_file(client)
    path.parent.mkdir(parents=True)
    path.write_text(
        '{\n  "mcpServers": {\n    "a": {\n      "env": {"TOKEN": "secret"}\n    }\n  }\n}\n'
    )
    change = install(client, LAUNCH).change
    assert "allma" in change and "secret" not in change


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_permissions_links_and_a_backup_are_kept(home: Path) -> None:
    client = find_client("claude-code")
    real = home / "dotfiles" / "claude.json"
    real.parent.mkdir()
    real.write_text('{"numStartups": 3}')
    real.chmod(0o640)
    path = client_file(client)
    path.symlink_to(real)
    done = install(client, LAUNCH)
    assert path.is_symlink() and stat.S_IMODE(real.stat().st_mode) == 0o640
    assert json.loads(real.read_text())["numStartups"] == 3
    assert done.backup and Path(done.backup).read_text() == '{"numStartups": 3}'
    assert stat.S_IMODE(os.stat(done.backup).st_mode) == 0o640


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.mkdir()


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 << 30)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("make", [_pipe, _device, _folder, _huge])
@pytest.mark.parametrize("name", ["cursor", "codex", "goose"])
def test_an_unusable_configuration_file_is_refused(name: str, make: Callable[[Path], None]) -> None:
    client = find_client(name)
    path = client_file(client)
    path.parent.mkdir(parents=True)
    make(path)
    for change in (lambda: install(client, LAUNCH), lambda: remove(client)):
        with pytest.raises(StorageError, match="configuration file") as refused:
            change()
        assert str(path) in refused.value.message and refused.value.hint
    with pytest.raises(StorageError):
        installed(client)
    assert {found.client for found in overview().clients if found.state == "unreadable"} == {name}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other owners")
def test_a_link_to_a_file_of_another_user_is_not_used(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only the administrator can give files away")
    client = find_client("cursor")
    other = home / "other.json"
    other.write_text("{}")
    os.chown(other, 12345, 12345)
    path = client_file(client)
    path.parent.mkdir(parents=True)
    path.symlink_to(other)
    with pytest.raises(StorageError, match="another user"):
        install(client, LAUNCH)


def test_unicode_line_separators_do_not_break_the_file() -> None:
    client = find_client("cursor")
    path = client_file(client)
    path.parent.mkdir(parents=True)
    path.write_text('{"mcpServers": {}, "note": "a\u2028b\x85c"}', "utf-8")
    change = install(client, LAUNCH).change
    assert all(line[0] in "+-@" for line in change.split("\n"))


@pytest.mark.parametrize(
    ("name", "text"),
    [("cursor", "{ nonsense"), ("codex", "a = "), ("goose", "a: [1"), ("zed", '["a"]')],
)
def test_an_unreadable_file_is_kept_and_the_entry_is_printed(name: str, text: str) -> None:
    client = find_client(name)
    path = client_file(client)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(InvalidArgument) as failure:
        install(client, LAUNCH)
    assert failure.value.hint and "/opt/allma-server" in failure.value.hint
    assert path.read_text() == text and os.listdir(path.parent) == [path.name]
    with pytest.raises(InvalidArgument):
        remove(client)
    states = {each.client: each.state for each in overview().clients}
    assert states.pop(name) == "unreadable" and set(states.values()) == {"absent"}


def test_a_file_that_changes_meanwhile_is_not_overwritten() -> None:
    client = find_client("cursor")
    path = client_file(client)
    path.parent.mkdir(parents=True)
    path.write_text('{"newer": 1}')
    with pytest.raises(StorageError, match="Another program"):
        change_file(client, path, '{"older": 1}', "{}", "installed", write=True)
    assert path.read_text() == '{"newer": 1}'


def test_a_file_that_is_not_utf_8_is_refused() -> None:
    client = find_client("cursor")
    path = client_file(client)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InvalidArgument, match="not UTF-8"):
        install(client, LAUNCH)


def test_a_byte_order_mark_is_accepted() -> None:
    client = find_client("cursor")
    path = client_file(client)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n')
    install(client, LAUNCH)
    assert json.loads(path.read_bytes())["a"] == 1


def test_the_packaged_claude_desktop_is_found_on_windows(tmp_path: Path) -> None:
    client = find_client("claude-desktop")
    tmp_path /= "user [me]"
    folders = FOLDERS | {"localappdata": str(tmp_path), "appdata": str(tmp_path / "Roaming")}
    (tmp_path / "Roaming" / "Claude").mkdir(parents=True)
    (tmp_path / "Roaming" / "Claude" / "claude_desktop_config.json").write_text("{}")
    assert "Roaming" in locate(client, "win32", folders).relative_to(tmp_path).parts[0]
    packaged = tmp_path / "Packages" / "Claude_x1" / "LocalCache" / "Roaming" / "Claude"
    packaged.mkdir(parents=True)
    assert locate(client, "win32", folders) == packaged / "claude_desktop_config.json"


def test_the_existing_one_of_two_opencode_files_is_used(home: Path) -> None:
    client = find_client("opencode")
    path = home / ".config" / "opencode" / "opencode.jsonc"
    path.parent.mkdir(parents=True)
    path.write_text('{\n  // mine\n  "share": "disabled",\n}\n')
    assert install(client, LAUNCH).file == str(path)
    assert "// mine" in path.read_text() and "/opt/allma-server" in path.read_text()


def test_environment_variables_can_move_the_files_of_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "d"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "x"))
    assert client_file(find_client("codex")) == tmp_path / "c" / "config.toml"
    assert client_file(find_client("claude-code")) == tmp_path / "d" / ".claude.json"
    assert client_file(find_client("opencode")).is_relative_to(tmp_path / "x")


def test_the_entry_starts_this_installation_with_this_shell_s_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALLMA_TOP_K", "7")
    launch = own_launch(["/notes"], "/data")
    assert Path(launch.program).is_absolute() and Path(launch.program).exists()
    assert launch.arguments[-5:] == ("mcp", "--workspace", "/notes", "--data", "/data")
    assert launch.environment["ALLMA_TOP_K"] == "7"


def test_a_temporary_installation_is_not_given_to_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = "/home/me/.cache/uv/archive-v0/x1/bin/python"
    monkeypatch.setattr(sys, "executable", temporary)
    with pytest.raises(Unsupported, match="temporary"):
        own_launch()


def test_an_unknown_client_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidArgument) as failure:
        find_client("notepad")
    assert failure.value.hint and "cursor" in failure.value.hint
