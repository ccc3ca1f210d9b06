"""Where things are on this machine: settings, data, and the meeting place of a daemon.

With `config.py` the only reader of the environment. Light enough for a forwarder, which does
without everything else.
"""

import hashlib
import os
import re
import stat
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from allma_server._internal.private import make_private_folder, tighten_folder

RUNTIME_FOLDERS = Path("/run/user")
"""Where Linux has the users' runtime folders."""

SHORT_FOLDER = Path("/tmp")
"""Where sockets are for a user without a runtime folder whose home has a long path."""

LARGEST_CONFIG = 1_000_000
"""Bytes of a settings file; all settings take a few thousand."""

LONGEST_SOCKET = 100
"""Bytes of a socket's path; systems allow 104 or 108, with the zero at its end."""

_DARWIN_USER_TEMP_DIR = 65537
"""The number of a name that Python does not know: macOS's temporary folder of the user."""


def config_file() -> Path:
    """The user's settings file; it need not exist. `ALLMA_CONFIG` names another."""
    if named := os.environ.get("ALLMA_CONFIG"):  # noqa: TID251
        return Path(named)
    return Path(platformdirs.user_config_dir("allma", appauthor=False)) / "config.toml"


def read_config(path: Path) -> str:
    """Return the text of a settings file.

    Raises:
        OSError: it is missing, unreadable, larger than LARGEST_CONFIG, or no regular file.
        UnicodeDecodeError: it is not UTF-8.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a regular file")
    if status.st_size > LARGEST_CONFIG:
        raise OSError(f"it is larger than {LARGEST_CONFIG:,} bytes")
    return path.read_text("utf-8")


def default_data_dir() -> Path:
    """Where data lives when no setting says otherwise."""
    return Path(platformdirs.user_data_dir("allma", appauthor=False))


def data_dir(named: str | None = None) -> Path:
    """The data directory in force, absolute: as named, else by environment, file, default.

    An unreadable settings file counts as none here; who reads all settings will complain of it.
    """
    chosen = named or os.environ.get("ALLMA_DATA_DIR", "").strip()  # noqa: TID251
    if not chosen:
        try:
            value = tomllib.loads(read_config(config_file())).get("data_dir")
            chosen = value.strip() if isinstance(value, str) else None
        except (OSError, ValueError):
            chosen = None
    return Path(os.path.abspath(os.path.expanduser(chosen))) if chosen else default_data_dir()


def project_folder() -> str | None:
    """The folder an AI client says it works in; a hint where to look, never what to index."""
    return os.environ.get("CLAUDE_PROJECT_DIR") or None  # noqa: TID251


def git_files() -> tuple[list[Path], Path]:
    """The user's settings files for git, and where git has the user's excludes by default."""
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")  # noqa: TID251
    return [home / ".gitconfig", config / "git" / "config"], config / "git" / "ignore"


def question_settings() -> dict[str, str]:
    """The settings in this environment that concern a client's own questions."""
    named = {"chat_model": "ALLMA_CHAT_MODEL", "top_k": "ALLMA_TOP_K"}
    return {key: os.environ[name] for key, name in named.items() if os.environ.get(name)}  # noqa: TID251


def application_folders() -> dict[str, str]:
    """The folders below which other programs keep their settings, by the names used for them."""
    env = os.environ  # noqa: TID251
    home = str(Path.home())
    return {
        "home": home,
        "config": env.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"),
        "appdata": env.get("APPDATA") or os.path.join(home, "AppData", "Roaming"),
        "localappdata": env.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local"),
        "claude": env.get("CLAUDE_CONFIG_DIR") or home,
        "codex": env.get("CODEX_HOME") or os.path.join(home, ".codex"),
    }


def variables_for_clients() -> dict[str, str]:
    """What decides here where Allma's settings and data are, and is not handed on by AI clients."""
    folders = ("OLLAMA_HOST", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    env = os.environ  # noqa: TID251
    # The files of AI clients are no place for a key: these are read from the key ring instead.
    return {
        k: v
        for k, v in env.items()
        if v and (k.startswith("ALLMA_") or k in folders) and not k.endswith("_API_KEY")
    }


def client_environment() -> dict[str, str]:
    """The variables that the more careful AI clients hand on to a server."""
    kept = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
    if os.name == "nt":
        kept = (
            "APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROGRAMFILES",
            "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE",
        )  # fmt: skip
    return {name: os.environ[name] for name in kept if name in os.environ}  # noqa: TID251


def socket_path(data: Path) -> Path:
    """The path of the socket (on Windows, of the file that tells port and token) of `data`.

    One per data directory, in a folder that only its user may enter. Never in the folder that
    TMPDIR names, which an editor and a shell may see differently. A folder with a path that is too
    long for a socket gives way to a short one, the same for whoever asks.

    Raises:
        OSError: the folder cannot be made, or is not the user's alone.
    """
    runtime = _runtime_folder()
    folder = runtime / "allma" if runtime else Path.home() / ".cache" / "allma"
    name = hashlib.sha256(os.fsencode(os.path.realpath(data))).hexdigest()[:16]
    if len(os.fsencode(folder / f"{name}.sock")) > LONGEST_SOCKET:
        folder = _short_folder()
    make_private_folder(folder)
    if os.name == "posix":
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else")
        tighten_folder(folder)
    return folder / f"{name}.sock"


def _short_folder() -> Path:
    """Where sockets are when HOME or the runtime folder has a long path; no variable moves it."""
    if sys.platform == "darwin":
        return Path(os.confstr(_DARWIN_USER_TEMP_DIR) or "/tmp", f"allma-{os.getuid()}")
    if sys.platform == "win32":
        return Path.home() / ".cache" / "allma"  # a file tells the port: its path may be long
    usual = RUNTIME_FOLDERS / str(os.getuid())
    return usual / "allma" if _is_ours(usual) else SHORT_FOLDER / f"allma-{os.getuid()}"


def _runtime_folder() -> Path | None:
    """The user's runtime folder; also for a client that does not hand its name on."""
    if named := os.environ.get("XDG_RUNTIME_DIR"):  # noqa: TID251
        return Path(named)
    if sys.platform != "linux":
        return None
    usual = RUNTIME_FOLDERS / str(os.getuid())
    return usual if _is_ours(usual) else None


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid()
    except OSError:
        return False


def build() -> dict[str, Any]:
    """This installation of Allma: its version, where it is, and when it was last changed."""
    from allma_server import __version__

    here = Path(__file__).parent
    modified = max(path.stat().st_mtime_ns for path in (here, *here.glob("*.py")))
    return {"version": __version__, "path": str(here), "modified": modified}


def is_newer(build: Mapping[str, Any], than: Mapping[str, Any]) -> bool:
    """Whether an installation is of a later version, or the same one after an update.

    Two installations of one version are as good as each other, wherever they are.
    """
    theirs, ours = _version(build.get("version")), _version(than.get("version"))
    if theirs != ours:
        return theirs > ours
    same = build.get("path") == than.get("path")
    return same and _number(build.get("modified")) > _number(than.get("modified"))


def _version(version: object) -> tuple[Any, ...]:
    """A version as it is compared: 0.2 before 0.10, 1.0rc1 before 1.0."""
    found = re.match(r"(\d+(?:\.\d+)*)(.*)", version) if isinstance(version, str) else None
    if found is None:
        return ((), 0, ())
    release = tuple(int(part) for part in found[1].split("."))
    while release and not release[-1]:
        release = release[:-1]
    rest = found[2]
    final = 0 if re.match(r"[.-]?(a|b|c|rc|alpha|beta|dev|pre)", rest) else 1
    return (release, final, tuple(int(number) for number in re.findall(r"\d+", rest)))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
