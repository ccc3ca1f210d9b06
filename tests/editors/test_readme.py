"""What README tells the users of Emacs and Vim, done in Emacs and Vim."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_readme import blocks

pytestmark = pytest.mark.editors

GUIDE = "# Guide\n\nThe retry limit of the uploader is seven attempts.\n"
EMACS = """
(setq package-directory-list '("/usr/share/emacs/site-lisp/elpa"))
(package-initialize)
(load "{snippet}")
(require 'eglot)
(setq eglot-connect-timeout 60 eglot-sync-connect 60)
(find-file "{file}")
(text-mode)
(call-interactively #'eglot)
(allma-ask "What is the retry limit?")
(princ (with-current-buffer "*Allma*" (buffer-string)))
"""
VIM = """
source {snippet}
cd {folder}
while getqflist() == []
  Allma retry limit
endwhile
let shown = map(getqflist(), {{_, e -> bufname(e.bufnr) .. ':' .. e.lnum .. ': ' .. e.text}})
call writefile(shown, '{out}')
qall!
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a document; the program that README names is on the PATH."""
    folder = tmp_path / "project"
    (folder / ".git").mkdir(parents=True)
    (folder / "guide.txt").write_text(GUIDE)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("ALLMA_EMBEDDER", "hashing/words-256")
    monkeypatch.setenv("ALLMA_CHAT_PROVIDER", "scripted")
    return folder


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_emacs_asks_and_shows_the_answer_with_its_sources(project: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "allma_server", "index", project)
    [snippet] = blocks("elisp")
    (tmp_path / "init.el").write_text(snippet)
    script = EMACS.format(snippet=tmp_path / "init.el", file=project / "guide.txt")
    (tmp_path / "test.el").write_text(script)
    shown = run("emacs", "--batch", "-q", "-l", tmp_path / "test.el")
    assert "You asked:" in shown and "What is the retry limit?" in shown
    assert f"[1] {project}/guide.txt:1" in shown


def test_vim_searches_the_working_directory_into_the_quickfix_list(
    project: Path, tmp_path: Path
) -> None:
    [snippet] = blocks("vim")
    (tmp_path / "vimrc").write_text(snippet)
    out = tmp_path / "found"
    script = VIM.format(snippet=tmp_path / "vimrc", folder=project, out=out)
    (tmp_path / "test.vim").write_text(script)
    run("vim", "-es", "-u", "NONE", "-i", "NONE", "-N", "-S", tmp_path / "test.vim")
    [found] = out.read_text().splitlines()
    assert found.startswith("guide.txt:1: ") and "seven attempts" in found
