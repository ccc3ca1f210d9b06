"""The section and the skill that tell AI clients when to use Allma."""

from pathlib import Path

import pytest

from allma_server.errors import InvalidArgument
from allma_server.integrations import AI_CLIENTS, AIClient
from allma_server.integrations.guide import BEGIN, END, SECTION, add_guide, remove_guide
from allma_server.integrations.install import find_client

TOLD = [client for client in AI_CLIENTS if client.instructions is not None]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any client."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "CODEX_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def each() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("client", TOLD, ids=lambda client: client.name)


def written(home: Path) -> set[str]:
    return {str(p.relative_to(home)) for p in home.rglob("*") if p.is_file()}


def test_clients_have_their_usual_files(home: Path) -> None:
    for client in TOLD:
        add_guide(client, write=True)
    assert written(home) == {
        ".claude/CLAUDE.md",
        ".claude/skills/allma/SKILL.md",
        ".codex/AGENTS.md",
        ".agents/skills/allma/SKILL.md",
        ".gemini/GEMINI.md",
        ".config/opencode/AGENTS.md",
    }


@each()
def test_it_is_added_once_and_removed_without_a_trace(client: AIClient, home: Path) -> None:
    assert not any(done.written for done in add_guide(client, write=False))
    assert written(home) == set()
    assert all(done.written and done.change for done in add_guide(client, write=True))
    assert not any(done.change for done in add_guide(client, write=True))
    assert all(done.written and done.backup for done in remove_guide(client, write=True))
    assert {Path(name).suffix for name in written(home)} == {".bak"}
    assert not any(done.change for done in remove_guide(client, write=True))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("own", ["# Mine\n\nUse tabs.\n", "Use tabs.\n"])
def test_what_the_user_wrote_stays_around_it(home: Path, own: str, end: str) -> None:
    file, client = home / ".codex" / "AGENTS.md", find_client("codex")
    file.parent.mkdir()
    own = own.replace("\n", end)
    file.write_bytes(own.encode())
    [done, _] = add_guide(client, write=True)
    assert done.backup is not None and Path(done.backup).read_bytes() == own.encode()
    text = file.read_bytes().decode()
    assert text.startswith(own) and SECTION.replace("\n", end).strip() in text
    more = f"{text}{end}Never commit.{end}"
    file.write_bytes(more.replace("search", "look").encode())
    [again, _] = add_guide(client, write=True)
    assert again.change and file.read_bytes().decode() == more
    remove_guide(client, write=True)
    assert file.read_bytes().decode() == f"{own}{end}Never commit.{end}"


@pytest.mark.parametrize("text", [BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_marks_that_are_no_pair_are_reported(home: Path, text: str) -> None:
    file, client = home / ".gemini" / "GEMINI.md", find_client("gemini")
    file.parent.mkdir()
    file.write_text(text)
    for change in (add_guide, remove_guide):
        with pytest.raises(InvalidArgument, match="not one pair"):
            change(client, write=True)
    assert file.read_text() == text


def test_a_client_without_such_files_is_told_nothing() -> None:
    assert add_guide(find_client("cursor"), write=True) == []
