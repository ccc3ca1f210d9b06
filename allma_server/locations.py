"""Paths on this machine: settings, data, and the socket of a daemon.

With `config.py`, the only reader of the environment. Light, because forwarders import it.
"""

import contextlib
import hashlib
import os
import re
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

import platformdirs

from allma_server._internal.private import make_private_folder, private_opener, tighten_folder
from allma_server.errors import PathNotFound

RUNTIME_FOLDERS = Path("/run/user")
"""The folder of the users' runtime folders on Linux."""

SHORT_FOLDER = Path("/tmp")
"""The folder of sockets for users without a runtime folder and with a long home path."""

LARGEST_CONFIG = 1_000_000
"""Bytes of a settings file; all settings take a few thousand."""

SOCKET_RECORD = "allma.socket"
"""The file of a data directory with the path of its daemon's socket."""

LONGEST_SOCKET = 100
"""Bytes of a socket's path; systems allow 104 or 108, including the final zero."""

_DARWIN_USER_TEMP_DIR = 65537
"""The user's temporary folder on macOS, as `confstr` numbers it; Python has no name for it."""


_QUESTION_SETTINGS = {
    "chat_model": "ALLMA_CHAT_MODEL",
    "think": "ALLMA_THINK",
    "top_k": "ALLMA_TOP_K",
}
_CHECKED = {"ALLMA_CONFIG", "ALLMA_DATA_DIR", *_QUESTION_SETTINGS.values()}
"""Variables that are read here, or checked by the engine with each question."""


def config_file() -> Path:
    """Return the user's settings file, which may not exist. `ALLMA_CONFIG` names another."""
    if named := os.environ.get("ALLMA_CONFIG"):  # noqa: TID251
        return Path(named)
    return Path(platformdirs.user_config_dir("allma", appauthor=False)) / "config.toml"


def writable_config_file() -> Path:
    """Return the user's settings file, in order to write it.

    Raises:
        PathNotFound: it would be in a home folder that does not exist.
    """
    return _at_home(config_file(), "name the settings file with ALLMA_CONFIG")


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
    """Return the data directory that applies without a setting.

    Raises:
        PathNotFound: it would be in a home folder that does not exist.
    """
    found = Path(platformdirs.user_data_dir("allma", appauthor=False))
    return _at_home(found, "name the data directory with --data or ALLMA_DATA_DIR")


def _at_home(path: Path, else_do: str) -> Path:
    """Return `path` unless its home folder does not exist: that is a mistake, and not created."""
    home = _home()
    if home.is_absolute() and (home not in path.parents or home.is_dir()):
        return path
    why = "does not exist" if home.is_absolute() else "is not an absolute path"
    raise PathNotFound(
        f"The home folder {str(home)!r} {why}.", f"Set HOME to your home folder, or {else_do}."
    )


def _home() -> Path:
    """The user's home folder as the environment names it; it may not exist."""
    return Path(os.path.expanduser("~"))


def data_dir(named: str | None = None) -> Path:
    """Return the absolute data directory: as named, else by environment, file or default.

    An unreadable settings file is ignored here; `load_config` reports it.

    Raises:
        PathNotFound: it would be in a home folder that does not exist.
    """
    chosen = named or os.environ.get("ALLMA_DATA_DIR", "").strip()  # noqa: TID251
    if not chosen:
        try:
            text = read_config(config_file())
            import tomllib  # late: most users have no such file

            value = tomllib.loads(text).get("data_dir")
            chosen = value.strip() if isinstance(value, str) else None
        except (OSError, ValueError):
            chosen = None
    return Path(os.path.abspath(os.path.expanduser(chosen))) if chosen else default_data_dir()


def settings_after(started: float | None) -> bool:
    """Return whether there are settings that an engine which runs since `started` has not read.

    `started`: seconds as of files; None if none runs.
    """
    if started is None or any(map(_names_setting, os.environ)):  # noqa: TID251
        return True
    try:
        return config_file().stat().st_mtime >= started
    except OSError:
        return False


def _names_setting(variable: str) -> bool:
    """Return whether an environment variable must be checked by whoever reads all settings."""
    return variable.startswith("ALLMA_") and not (
        variable in _CHECKED or variable.endswith("_API_KEY")
    )


def project_folder() -> str | None:
    """Return the folder that an AI client works in: searched by default, never indexed for that."""
    return os.environ.get("CLAUDE_PROJECT_DIR") or None  # noqa: TID251


def git_files() -> tuple[list[Path], Path]:
    """Return the user's git settings files, and the default path of the user's excludes."""
    home = _home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")  # noqa: TID251
    return [home / ".gitconfig", config / "git" / "config"], config / "git" / "ignore"


def question_settings() -> dict[str, str]:
    """Return the settings in the environment that concern a client's own questions."""
    named = _QUESTION_SETTINGS.items()
    return {key: os.environ[name] for key, name in named if os.environ.get(name)}  # noqa: TID251


def application_folders() -> dict[str, str]:
    """Return the folders where other programs keep their settings, by short names."""
    env = os.environ  # noqa: TID251
    home = str(_home())
    return {
        "home": home,
        "config": env.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"),
        "appdata": env.get("APPDATA") or os.path.join(home, "AppData", "Roaming"),
        "localappdata": env.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local"),
        "claude": env.get("CLAUDE_CONFIG_DIR") or home,
        "claude_files": env.get("CLAUDE_CONFIG_DIR") or os.path.join(home, ".claude"),
        "codex": env.get("CODEX_HOME") or os.path.join(home, ".codex"),
    }


def editor() -> str:
    """Return the command of the user's editor; empty if none is named."""
    env = os.environ  # noqa: TID251
    named = env.get("VISUAL", "").strip() or env.get("EDITOR", "").strip()
    # A terminal inside an editor belongs to it.
    inside = {"vscode": "code", "zed": "zed"}.get(env.get("TERM_PROGRAM", ""), "")
    return named or inside


def is_dumb_terminal() -> bool:
    """Return whether the terminal can only print, as those inside of editors."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")  # noqa: TID251


def terminal_styles(*, is_terminal: bool) -> Literal["none", "grey", "colors"]:
    """Return which styles an output may have: none, bold and dim, or colours too."""
    env = os.environ  # noqa: TID251
    if is_dumb_terminal() or not (is_terminal or env.get("FORCE_COLOR")):
        return "none"
    return "grey" if env.get("NO_COLOR") else "colors"


def terminal_links() -> Literal["none", "file", "line", "number"]:
    """Return what links in this terminal may name: nothing, files, or lines as `#L3` or `#3`."""
    env = os.environ  # noqa: TID251
    if env.get("TERM", "dumb").startswith(("dumb", "linux", "eterm")):
        return "none"
    if "VTE_VERSION" in env:
        return "file"  # GNOME opens no address with a fragment
    if "KITTY_WINDOW_ID" in env or env.get("TERM_PROGRAM") == "iTerm.app":
        return "number"
    return "line"


def variables_for_clients() -> dict[str, str]:
    """Return the variables that locate settings and data; AI clients do not pass them on."""
    folders = ("OLLAMA_HOST", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    env = os.environ  # noqa: TID251
    # Keys must not be written to the files of AI clients; the key ring has them.
    return {
        k: v
        for k, v in env.items()
        if v and (k.startswith("ALLMA_") or k in folders) and not k.endswith("_API_KEY")
    }


def client_environment() -> dict[str, str]:
    """Return the variables that even restrictive AI clients pass to a server."""
    kept = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
    if os.name == "nt":
        kept = (
            "APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PATHEXT", "PROGRAMFILES",
            "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE",
        )  # fmt: skip
    return {name: os.environ[name] for name in kept if name in os.environ}  # noqa: TID251


def socket_path(data: Path) -> Path:
    """Return where a daemon puts its socket (on Windows, the file with its port and token).

    One per data directory, in a folder that only the user may enter. TMPDIR is not used, because
    an editor and a shell may see different values. If the path is too long for a socket, a short
    folder is used that is the same for every process of the user.

    Raises:
        OSError: the folder cannot be created, or does not belong to the user.
    """
    runtime, home = _runtime_folder(), _home()
    folder = runtime / "allma" if runtime else home / ".cache" / "allma"
    name = hashlib.sha256(os.fsencode(os.path.realpath(data))).hexdigest()[:16]
    if len(os.fsencode(folder / f"{name}.sock")) > LONGEST_SOCKET or not (
        runtime or home.is_absolute() and home.is_dir()
    ):
        folder = _short_folder()
    make_private_folder(folder)
    if os.name == "posix":
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to another user")
        tighten_folder(folder)
    return folder / f"{name}.sock"


def record_socket(data: Path, path: Path) -> None:
    """Record in a data directory where its daemon's socket is, for clients of other environments.

    Raises:
        OSError: it cannot be written.
    """
    with open(data / SOCKET_RECORD, "wb", opener=private_opener) as file:
        file.write(os.fsencode(path))


def forget_socket(data: Path, path: Path) -> None:
    """Remove the record of a socket, unless another one is recorded."""
    with contextlib.suppress(OSError):
        if recorded_socket(data) == path:
            (data / SOCKET_RECORD).unlink()


def recorded_socket(data: Path) -> Path | None:
    """Return the path that a daemon has recorded, if it is in a folder that belongs to the user.

    The daemon may have ended meanwhile.
    """
    try:
        with open(data / SOCKET_RECORD, "rb") as file:
            path = Path(os.fsdecode(file.read(LONGEST_SOCKET + 1)))
        status = path.parent.lstat()
    except (OSError, ValueError):
        return None
    is_ours = os.name != "posix" or status.st_uid == os.getuid()
    is_named = path.is_absolute() and path.suffix == ".sock"
    return path if is_named and is_ours and stat.S_ISDIR(status.st_mode) else None


def _short_folder() -> Path:
    """Return the folder of sockets for long paths of HOME; no variable changes it."""
    if sys.platform == "darwin":
        return Path(os.confstr(_DARWIN_USER_TEMP_DIR) or "/tmp", f"allma-{os.getuid()}")
    if sys.platform == "win32":
        return _home() / ".cache" / "allma"  # a file, whose path may be long
    usual = RUNTIME_FOLDERS / str(os.getuid())
    return usual / "allma" if _is_ours(usual) else SHORT_FOLDER / f"allma-{os.getuid()}"


def _runtime_folder() -> Path | None:
    """Return the user's runtime folder; found also if a client does not pass its variable on."""
    # Not platformdirs: without the variable it may fall back to a folder below TMPDIR.
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


class Build(TypedDict):
    """The version, path and modification time of an installation."""

    version: str
    path: str
    modified: int


def build() -> Build:
    """Return the version, path and modification time of this installation."""
    from allma_server import __version__

    here = Path(__file__).parent
    modified = max(path.stat().st_mtime_ns for path in (here, *here.glob("*.py")))
    return {"version": __version__, "path": str(here), "modified": modified}


def is_newer(build: Mapping[str, Any], than: Mapping[str, Any]) -> bool:
    """Return whether `build` is later than `than`, or the same installation after an update.

    Two installations of one version are equal, wherever they are.
    """
    theirs, ours = _version(build.get("version")), _version(than.get("version"))
    if theirs != ours:
        return theirs > ours
    same = build.get("path") == than.get("path")
    return same and _number(build.get("modified")) > _number(than.get("modified"))


def _version(version: object) -> tuple[Any, ...]:
    """Return the sort key of a version: 0.2 before 0.10, 1.0rc1 before 1.0."""
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
