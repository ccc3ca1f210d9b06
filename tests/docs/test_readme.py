"""The README's commands are run, its names exist, and its tables match the code."""

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from allma_server.cli.commands import app
from allma_server.config import Config
from allma_server.integrations import AI_CLIENTS
from tests.cluster import KEY, run_cluster

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str, section: str | None = None) -> list[str]:
    text = README if section is None else README.split(f"## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def settings_table() -> str:
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for key, field in Config.model_fields.items():
        default = field.get_default(call_default_factory=False)
        shown = "the user's data folder" if key == "data_dir" else f"`{default}`"
        rows.append(f"| `{key}` | {'' if default is None and key != 'data_dir' else shown} "
                    f"| {field.description} |")  # fmt: skip
    return "\n".join(rows)


def test_the_settings_table_matches_the_settings() -> None:
    written = re.search(r"<!-- settings: begin -->\n(.*?)<!-- settings: end -->", README, re.S)
    assert written is not None
    assert written[1].strip() == settings_table(), f"write this table:\n{settings_table()}"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    (folder / "docs").mkdir()
    (folder / "src").mkdir()
    (folder / "docs" / "guide.md").write_text("# Guide\n\nRequests are retried five times.\n")
    (folder / "docs" / "logo.png").write_bytes(b"\x89PNG")
    (folder / "src" / "client.py").write_text("RETRY_LIMIT = 5\n\n\ndef request():\n    ...\n")
    return folder


def test_the_shell_commands_work_in_this_order(sample: Path) -> None:
    [block] = blocks("sh", "Shell")
    for line in block.splitlines():
        file, _, line = line.rpartition(" | ")
        program, *arguments = shlex.split(line)
        assert program == "allma"
        done = subprocess.run(
            [sys.executable, "-m", "allma_server", *arguments],
            cwd=sample,
            input=(sample / file.removeprefix("cat ")).read_text() if file else "",
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        if "search" in line or " ask " in line:
            found = "client.py" if "--files" in line or file else "client.py:1"
            assert found in done.stdout, done.stdout


def test_the_commands_for_a_team_work_in_this_order(sample: Path) -> None:
    [block] = blocks("sh", "For a team")
    allma, environment = [sys.executable, "-m", "allma_server"], dict(os.environ)  # noqa: TID251
    server: subprocess.Popen[str] | None = None
    url = ""
    try:
        for line in block.splitlines():
            program, *arguments = shlex.split(line.replace("http://127.0.0.1:8642", url))
            if arguments == ["serve"]:
                # On a free port, because another test may serve at the same time.
                command = [*allma, "serve", "--port", "0", "--json"]
                server = subprocess.Popen(command, cwd=sample, stdout=subprocess.PIPE, text=True)
                assert server.stdout is not None
                url = json.loads("".join(server.stdout.readline() for _ in range(3)))["url"]
                continue
            command = [program, "--fail", *arguments] if program == "curl" else [*allma, *arguments]
            if arguments[:2] == ["tokens", "add"]:
                command.append("--json")
            command = [os.path.expandvars(part) for part in command]
            done = subprocess.run(
                command, cwd=sample, env=environment, capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            if arguments[:2] == ["tokens", "add"]:
                os.environ["TOKEN"] = json.loads(done.stdout)["token"]  # noqa: TID251
            if program == "curl":
                assert "client.py" in done.stdout
    finally:
        os.environ.pop("TOKEN", None)  # noqa: TID251
        if server is not None:
            server.terminate()
            server.communicate(timeout=30)
            assert server.returncode == 0


@pytest.mark.cluster
def test_the_commands_for_several_machines_work_in_this_order(sample: Path, tmp_path: Path) -> None:
    [block] = blocks("sh", "Across machines")
    machines = [tmp_path / "here", tmp_path / "there"]
    with run_cluster(tmp_path) as cluster:
        for line in block.splitlines():
            if line.startswith("#"):
                machines.reverse()
                continue
            _, *arguments = shlex.split(line.replace("http://127.0.0.1:8080", cluster.url))
            more = {"ALLMA_DATA_DIR": str(machines[0]), "ALLMA_VECTOR_STORE_API_KEY": KEY}
            done = subprocess.run(
                [sys.executable, "-m", "allma_server", *arguments],
                cwd=sample if machines[0].name == "here" else tmp_path,
                env={**os.environ, **more},  # noqa: TID251
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            if arguments[0] == "search":
                assert "shared: handbook/guide.md" in done.stdout, done.stdout
            if arguments[0] == "read":
                assert "Requests are retried" in done.stdout
            if arguments[0] in ("share", "unshare"):
                assert "published" in done.stdout or "has erased it" in done.stdout


def test_the_examples_for_services_are_valid() -> None:
    folder = ROOT / "extensions" / "service"
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(folder / "allma.service")
    program, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert program.endswith("/allma")
    assert arguments[0] in getattr(get_command(app), "commands", {})
    assert unit["Install"]["WantedBy"]
    nginx = (folder / "nginx.conf").read_text("utf-8")
    if shutil.which("nginx"):
        whole = f"events {{}} http {{ {re.sub('ssl_certificate.*;|listen.*;', '', nginx)} }}"
        done = subprocess.run(["nginx", "-t", "-g", "daemon off;", "-c", "/dev/stdin"], input=whole,
                              capture_output=True, text=True)  # fmt: skip
        assert "syntax is ok" in done.stderr, done.stderr
    directives = [line.strip() for line in nginx.splitlines() if line.strip()]
    assert all(line[0] == "#" or line[-1] in "{};" for line in directives)
    assert nginx.count("{") == nginx.count("}")
    for needed in ("proxy_buffering off;", "proxy_set_header Host $host;"):
        assert needed in nginx


def inline_code() -> list[str]:
    return re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", README, flags=re.M | re.S))


def test_commands_in_the_text_exist() -> None:
    for line in (code for code in inline_code() if code.startswith("allma ")):
        command, words = get_command(app), shlex.split(line)[1:]
        while words and (subcommands := getattr(command, "commands", None)):
            assert words[0] in subcommands, line
            command = subcommands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word[:1] == "-" != word} <= options, line


def test_options_in_the_text_exist() -> None:
    named = {code.split()[0] for code in inline_code() if code.startswith("-")}
    # Every command has --help; --list is an option of .ci/full.
    options, commands = {"--help", "--list"}, [get_command(app)]
    while commands:
        command = commands.pop()
        options |= {option for parameter in command.params for option in parameter.opts}
        commands += getattr(command, "commands", {}).values()
    assert named - options == set()


def test_the_neovim_commands_install_the_plugin(isolated: Path) -> None:
    [block] = blocks("sh", "Neovim")
    environment = {**os.environ, "HOME": str(isolated)}  # noqa: TID251
    subprocess.run(["bash", "-euc", block], cwd=ROOT, env=environment, check=True)
    start = isolated / ".local" / "share" / "nvim" / "site" / "pack" / "allma" / "start"
    assert (start / "allma" / "plugin" / "allma.lua").is_file()


def test_the_mcp_entry_starts_a_server_that_answers() -> None:
    [entry] = blocks("json", "AI clients (MCP)")
    server = json.loads(entry)["mcpServers"]["allma"]
    assert server["command"] == "allma-server"
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "readme", "version": "0"},
        },
    }
    done = subprocess.run(
        [sys.executable, "-m", "allma_server", *server["args"]],
        input=json.dumps(request) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert json.loads(done.stdout.splitlines()[0])["result"]["serverInfo"]["name"] == "allma"


def test_the_commands_for_ai_clients_work_in_this_order(isolated: Path) -> None:
    [block] = blocks("sh", "AI clients (MCP)")
    output = ""
    for line in block.splitlines():
        done = subprocess.run(
            [sys.executable, "-m", "allma_server", *shlex.split(line)[1:]],
            cwd=ROOT,
            env={**os.environ, "HOME": str(isolated), "USERPROFILE": str(isolated)},  # noqa: TID251
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        output = done.stdout
    assert "allma" in json.loads((isolated / ".claude.json").read_text())["mcpServers"]
    assert "8: search, ask" in output


def test_the_supported_clients_are_listed() -> None:
    section = README.split("## AI clients (MCP)\n")[1].split("\n## ")[0]
    named = re.search(r"Supported clients: (.*?);", section, re.S)
    assert named is not None
    assert re.findall(r"`(.+?)`", named[1]) == [client.name for client in AI_CLIENTS]


def test_the_snippets_for_editors_start_the_server() -> None:
    section = "Other editors (LSP)"
    [helix] = [tomllib.loads(block) for block in blocks("toml", section)]
    assert helix["language-server"]["allma"] == {"command": "allma-server", "args": ["lsp"]}
    kate, sublime = [json.loads(block) for block in blocks("json", section)]
    assert sublime["clients"]["allma"]["command"] == ["allma-server", "lsp"]
    assert kate["servers"]["markdown"]["command"] == ["allma-server", "lsp"]
    [emacs] = blocks("elisp", section)
    assert '("allma-server" "lsp")' in emacs and emacs.count("(") == emacs.count(")")


def test_the_mcp_registry_can_verify_the_owner_of_the_package() -> None:
    entry = json.loads((ROOT / "extensions" / "mcp-registry" / "server.json").read_text("utf-8"))
    assert f"<!-- mcp-name: {entry['name']} -->" in README
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert len(entry["description"]) <= 100
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    [package] = entry["packages"]
    # Launchers run the script with the name of the package.
    assert package["identifier"] == project["name"] and project["name"] in project["scripts"]
    words = [a["value"] for a in package["packageArguments"] if a["type"] == "positional"]
    assert words == ["mcp"]


def test_the_start_section_has_the_two_commands_that_ci_runs() -> None:
    first, second = blocks("sh", "Start")
    assert first.strip().startswith("pip install . && allma ask --in . ")
    assert second.strip() == 'pip install ".[test]" && python -m pytest -n logical'


def test_the_code_map_names_every_package_and_only_existing_paths() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    table = text.split("## Code map")[1].split("\n## ")[0]
    named = {
        n for row in re.findall(r"^\| (.+?) \|", table, re.M) for n in re.findall(r"`(.+?)`", row)
    }
    package = ROOT / "allma_server"
    assert {name for name in named if not (package / name).exists()} == set()
    packages = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in package.iterdir()
        if not path.name.startswith("__") and path.name != "py.typed"
    }
    assert packages - named == set(), "not in the code map"
    for folder, files in re.findall(r"^\| `(\w+)/`.*? \| (.+) \|", table, re.M):
        inside = re.findall(r"`(\w+(?:\.py|/))`", files)
        assert [name for name in inside if not (package / folder / name).exists()] == []


def test_every_way_to_add_something_names_existing_files_and_registries() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    section = text.split("## How to add")[1].split("\n## ")[0]
    rows = re.findall(r"^\| an? .+? \| `(.+?)` \| `(.+?)` in `(.+?)` \| `(.+?)` \|$", section, re.M)
    assert len(rows) == 8
    package = ROOT / "allma_server"
    for file, registry, module, test in rows:
        assert (package / file).parent.is_dir(), file
        assert re.search(rf"\b{registry}\b", (package / module).read_text("utf-8")), registry
        assert (ROOT / test).is_file(), test
    for name, module in re.findall(r"`([A-Z_]+)` in `(.+?)`", section):
        assert re.search(rf"^{name}\b", (package / module).read_text("utf-8"), re.M), name
