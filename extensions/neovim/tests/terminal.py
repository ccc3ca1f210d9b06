"""The chat on the screen: a real Neovim in a real terminal, driven by keys.

    python tests/terminal.py [NVIM] [--show]

Fails, and prints the screen, when an expected text does not appear. `--show` prints the screens.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parents[1]
TIMEOUT_SECONDS = 60.0

INIT = """
set rtp^={here} noswapfile noshowcmd shortmess+=I laststatus=2
set statusline=%t%=%{{v:lua.require'allma'.status()}}
runtime plugin/allma.lua
filetype plugin on
lua << EOF
require("allma").setup({{
  cmd = {{ {python!r}, "-m", "allma_server", "lsp", "--solo" }},
  chat_model = "echo",
}})
EOF
"""


class Terminal:
    """A tmux session with one Neovim in it."""

    def __init__(self, folder: Path, project: Path, nvim: str) -> None:
        self.name = f"allma-{os.getpid()}"
        init = folder / "init.vim"
        init.write_text(INIT.format(here=HERE, python=sys.executable))
        words = ["env", "-u", "TMUX", nvim, "-u", str(init), "-i", "NONE", "docs/retries.md"]
        command = f"cd {shlex.quote(str(project))} && {shlex.join(words)}"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "110", "-y", "34", command)

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self.name, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def type(self, *keys: str) -> None:
        for key in keys:
            self.tmux("send-keys", *([key] if key[:1] == "C" or key == "Enter" else ["-l", key]))

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def until(self, what: str, seen: Callable[[str], bool]) -> str:
        """Wait until `seen` accepts the screen, and return the screen."""
        end = time.monotonic() + TIMEOUT_SECONDS
        screen = ""
        while time.monotonic() < end:
            screen = self.screen()
            if seen(screen):
                if "--show" in sys.argv:
                    sys.stdout.write(f"--- {what}\n{screen}\n")
                return screen
            time.sleep(0.05)
        raise AssertionError(f"timed out waiting until {what}; the screen is:\n{screen}")

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self.name, "kill-server"], check=False, capture_output=True)


def a_chat_is_asked_continued_and_stopped(terminal: Terminal) -> None:
    """Ask, continue and stop in one chat."""
    terminal.until("the file is shown", lambda s: "# Guide" in s)
    terminal.type(":Allma ingest", "Enter")
    terminal.until("the project is indexed", lambda s: "Allma: 1 " in s)
    terminal.type(":Allma ask what is the retry limit?", "Enter")
    screen = terminal.until("the sources are shown", lambda s: "[1] docs/retries.md:" in s)
    assert "# Guide" in screen, "the file must stay visible beside the chat"
    terminal.type("i", "and how long does it wait?", "C-s")
    terminal.until("the second answer", lambda s: s.count("Sources:") == 2)
    terminal.type(":Allma ask ++model=slow go on for ever", "Enter")
    terminal.until(
        "the answer is being written", lambda s: "answering" in s and s.count("ever") > 4
    )
    terminal.type("C-c")
    screen = terminal.until("it has stopped", lambda s: "Stopped." in s)
    assert "Allma: answering" not in screen, screen


def main() -> int:
    """Run the test and return the exit status."""
    with tempfile.TemporaryDirectory(prefix="allma-tui-") as name:
        folder = Path(name)
        project = folder / "project"
        (project / ".git").mkdir(parents=True)
        (project / "docs").mkdir()
        text = "# Guide\n\n## Retries\n\nThe retry limit of the uploader is seven attempts.\n"
        (project / "docs" / "retries.md").write_text(text)
        named = [word for word in sys.argv[1:] if not word.startswith("--")]
        terminal = Terminal(folder, project, shutil.which(named[0] if named else "nvim") or "nvim")
        try:
            a_chat_is_asked_continued_and_stopped(terminal)
        except AssertionError as exc:
            sys.stdout.write(f"not ok 1 - a chat in a terminal\n# {exc}\n")
            return 1
        finally:
            terminal.close()
    sys.stdout.write("ok 1 - a chat in a terminal is asked, continued and stopped\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
