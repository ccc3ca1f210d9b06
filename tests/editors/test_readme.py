"""The README's instructions for VS Code, Neovim, Emacs and Vim, followed in these editors."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_readme import ROOT, blocks

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
(dolist (found (xref-backend-apropos 'eglot "retry limit"))
  (let ((place (xref-item-location found)))
    (princ (format "\nfound: %s:%d: %s" (xref-location-group place) (xref-location-line place)
                   (substring-no-properties (xref-item-summary found))))))
(defvar allma-test-message "")
(advice-add 'message :before
            (lambda (&rest args)
              (setq allma-test-message (apply #'format (or (car args) "") (cdr args)))))
(dolist (action (eglot-code-actions (point-min) (point-max)))
  (when (equal (plist-get action :title) "Find related passages")
    (let ((command (plist-get action :command)))
      (eglot-execute-command (eglot-current-server) (plist-get command :command)
                             (plist-get command :arguments)))))
(while (not (string-match-p "guide.txt:" allma-test-message))
  (accept-process-output nil 0.1))
(princ (concat "\nrelated: " (replace-regexp-in-string "\n" " " allma-test-message)))
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
    """Return a folder with a document; put the server on the PATH."""
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
    line = "The retry limit of the uploader is seven attempts."
    assert f"found: {project}/guide.txt:3: {line}" in shown
    assert "related: [eglot] Server reports" in shown


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


def test_neovim_has_the_plugin(
    project: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(isolated))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    [block] = blocks("sh", "Neovim")
    subprocess.run(["bash", "-euc", block], cwd=ROOT, check=True)
    run("nvim", "--headless", "+if exists(':Allma') != 2 | cquit | endif", "+qa!")


def test_neovim_has_the_plugin_of_a_release_archive(
    isolated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(isolated))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    readme = (ROOT / "extensions/neovim/README.md").read_text("utf-8")
    [make] = [block for block in commands(readme) if "git archive" in block]
    [install] = [block for block in commands(readme) if "tar -xzf" in block]
    archive = tmp_path / "allma.nvim-0.1.0.tar.gz"
    make = make.replace(f"--output={archive.name}", f"--output={archive}")
    subprocess.run(["bash", "-euc", make], cwd=ROOT, check=True)
    subprocess.run(["bash", "-euc", install], cwd=tmp_path, check=True)
    [plugin] = isolated.glob(".local/share/nvim/site/pack/allma/start/*")
    assert {"LICENSE", "README.md", "doc", "lua", "plugin"} <= set(os.listdir(plugin))
    assert not set(os.listdir(plugin)) & {"tests", ".gitignore"}
    topic = "empty(getcompletion('allma.setup()', 'help'))"
    checks = f"+if exists(':Allma') != 2 || {topic} | cquit | endif"
    run("nvim", "--headless", checks, "+qa!")


def commands(text: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)


def test_vs_code_has_the_extension(
    isolated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`code` is code-server, whose command line takes the same options."""
    cache = Path(os.environ["TEST_CACHE"])  # noqa: TID251
    [entry] = cache.glob("code-server-*/node_modules/code-server/out/node/entry.js")
    node = shutil.which("node")
    (tmp_path / "code").write_text(f'#!/bin/sh\nexec "{node}" "{entry}" "$@"\n')
    (tmp_path / "code").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("HOME", str(isolated))
    [block] = blocks("sh", "VS Code")
    subprocess.run(["bash", "-euc", block], cwd=ROOT, check=True, timeout=300)
    assert "allma.allma" in run("code", "--list-extensions")
