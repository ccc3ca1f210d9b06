"""Adding Allma to an AI client in a terminal and outside of one."""

import os
from pathlib import Path

import pytest

from tests.e2e.cli.home import Home

if not hasattr(os, "openpty"):
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from tests.e2e.cli.terminal import terminal


@pytest.fixture
def codex(tmp_path: Path) -> Path:
    (tmp_path / "AGENTS.md").write_text("Use tabs.\n")
    return tmp_path


def test_the_user_sees_the_section_and_decides(folder: Home, codex: Path) -> None:
    where = str(codex)
    for answer, is_told in (("n", False), ("y", True)):
        with terminal(folder, "install", "codex", CODEX_HOME=where, HOME=where) as shown:
            shown.expect(r"\+## Finding things with Allma.*SKILL\.md.*Write this too.*\[y/N\]")
            shown.send(f"{answer}\r")
            assert shown.end() == 0
        assert ("Allma" in (codex / "AGENTS.md").read_text()) is is_told
    with terminal(folder, "install", "codex", CODEX_HOME=where, HOME=where) as shown:
        assert shown.end() == 0 and "already has Allma" in shown.text
    with terminal(folder, "install", "codex", "--remove", CODEX_HOME=where, HOME=where) as shown:
        assert shown.end() == 0
    assert (codex / "AGENTS.md").read_text() == "Use tabs.\n"
    assert not list(codex.rglob("SKILL.md"))


def test_nobody_is_asked_without_a_terminal(folder: Home, codex: Path) -> None:
    changes = {"CODEX_HOME": str(codex), "HOME": str(codex)}
    done = folder.run("install", "codex", **changes)
    assert done.returncode == 0 and "allma install codex --guide" in done.stderr
    assert (codex / "AGENTS.md").read_text() == "Use tabs.\n"
    printed = folder.run("install", "codex", "--guide", "--print", **changes)
    assert "+## Finding things with Allma" in printed.stdout
    assert (codex / "AGENTS.md").read_text() == "Use tabs.\n"
    assert folder.run("install", "codex", "--guide", **changes).returncode == 0
    assert "Allma" in (codex / "AGENTS.md").read_text()
