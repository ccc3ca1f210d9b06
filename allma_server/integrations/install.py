"""Find, read and change the configuration file of an AI client without losing its contents."""

import difflib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from glob import escape, glob
from pathlib import Path
from typing import Literal, Protocol, cast

from allma_server._internal.lines import split_lines
from allma_server._internal.replace import replace_file
from allma_server._internal.workspace_files import read_named, trusted_owners
from allma_server.errors import InvalidArgument, NothingToIndex, StorageError, Unsupported
from allma_server.integrations import AI_CLIENTS, AIClient, Format, Launch
from allma_server.integrations.text import Unreadable
from allma_server.locations import application_folders, variables_for_clients

MAX_FILE_BYTES = 16 << 20
"""Some clients keep their history in the file."""

SERVER = "allma"
"""The name of the server in every client's file."""


class FileFormat(Protocol):
    """A module that reads and changes files of one format."""

    def load(self, text: str) -> dict[str, object]: ...
    def set_value(self, text: str, path: Sequence[str], value: object) -> str: ...
    def remove_value(self, text: str, path: Sequence[str]) -> str: ...


@dataclass(frozen=True, slots=True)
class Installation:
    """The state of Allma in a client's file, and the change that was made.

    `change` is a diff without context lines, which may contain secrets of other servers. `backup`
    is the path of a copy of the old file. `guide`: the same of the files that tell the client when
    to use Allma.
    """

    client: str
    title: str
    file: str
    state: Literal["installed", "absent", "unreadable"]
    change: str = ""
    written: bool = False
    backup: str | None = None
    next_step: str | None = None
    guide: list["Installation"] = field(default_factory=list["Installation"])


@dataclass(frozen=True, slots=True)
class Installations:
    """The state of Allma in all clients."""

    clients: list[Installation]


def find_client(name: str) -> AIClient:
    """Return the client with this name.

    Raises:
        InvalidArgument: no client has this name; the hint lists the names.
    """
    for client in AI_CLIENTS:
        if client.name == name:
            return client
    names = [client.name for client in AI_CLIENTS]
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise InvalidArgument(
        f"There is no AI client named {name!r}.", f"{hint}The names are: {', '.join(names)}."
    )


def locate(client: AIClient, platform: str, folders: Mapping[str, str]) -> Path:
    """Return the file of a client on a platform (`sys.platform`), whether it exists or not."""
    *others, usual = client.config_paths.get(platform, client.config_paths["linux"])
    literal = {name: escape(folder) for name, folder in folders.items()}
    for other in others:
        folder, name = os.path.split(other.format(**literal))
        if "*" in other and (found := sorted(glob(folder))):
            return Path(found[0]) / name
        if "*" not in other and (path := Path(other.format(**folders))).exists():
            return path
    return Path(usual.format(**folders))


def client_file(client: AIClient) -> Path:
    """Return the file of a client on this machine, whether it exists or not."""
    return locate(client, sys.platform, application_folders())


def own_launch(folders: Sequence[str] = (), data: str | None = None) -> Launch:
    """Return how a client starts this installation, with the settings of this shell.

    Raises:
        Unsupported: this installation is temporary.
    """
    here = Path(sys.executable)
    script = here.with_name("allma-server.exe" if sys.platform == "win32" else "allma-server")
    # Folders of uvx and `pipx run`, which may delete them at any time.
    if (
        {"archive-v0", "environments-v2"} & set(here.parts)
        or "pipx" in here.parts[:-4]
        and (".cache" in here.parts)
    ):
        raise Unsupported(
            f"This installation at {here.parent} is temporary; clients need a permanent one.",
            "Run `uv tool install allma-server` or `pipx install allma-server`.",
        )
    program = [str(script)] if script.exists() else [str(here), "-m", "allma_server"]
    arguments = [*program[1:], "mcp"]
    for folder in folders:
        arguments += ["--workspace", folder]
    if data is not None:
        arguments += ["--data", data]
    return Launch(program[0], tuple(arguments), variables_for_clients())


def installed(client: AIClient) -> Launch | None:
    """Return how a client's file starts Allma, or None if it does not.

    Raises:
        InvalidArgument: the file cannot be parsed.
        StorageError: the file cannot be read.
    """
    entry = entry_of(client)
    return None if entry is None else client.entry_format.read(entry)


def entry_of(client: AIClient) -> Mapping[str, object] | None:
    """Return the entry of Allma in a client's file, if there is one.

    Raises:
        InvalidArgument, StorageError: as `installed`.
    """
    path = client_file(client)
    try:
        return _entry(_format(client.format).load(read_file(path)), client)
    except Unreadable as exc:
        raise _unreadable(path, exc, "Correct the file and try again.") from exc


def overview() -> Installations:
    """Return all clients, and which of them have Allma."""
    found: list[Installation] = []
    for client in AI_CLIENTS:
        state: Literal["installed", "absent", "unreadable"] = "absent"
        try:
            state = "installed" if installed(client) is not None else "absent"
        except (InvalidArgument, StorageError):
            state = "unreadable"
        found.append(Installation(client.name, client.title, str(client_file(client)), state))
    return Installations(found)


def install(client: AIClient, launch: Launch, *, write: bool = True) -> Installation:
    """Add Allma to a client's file, or only return the change.

    Members that the user added to the entry are kept; a second call changes nothing.

    Raises:
        InvalidArgument: the file cannot be parsed or changed safely; the hint has the entry.
        StorageError: the file cannot be read or written.
    """
    entry = client.entry_format.write(launch)
    path = (client.servers_key, SERVER)
    form = _format(client.format)
    file = client_file(client)
    snippet = form.set_value("", path, {**client.entry_format.defaults, **entry}).strip()
    try:
        before = read_file(file)
        whole = form.load(before)
        present = _entry(whole, client)
        if present is None:
            after = form.set_value(before, path, {**client.entry_format.defaults, **entry})
            expected = {**client.entry_format.defaults, **entry}
        else:
            after = before
            for key, value in entry.items():
                if present.get(key) != value:
                    after = form.set_value(after, (*path, key), value)
            expected = {**present, **entry}
        _check(form, after, whole, client, expected)
    except Unreadable as exc:
        raise _unreadable(file, exc, f"Add this to the file yourself:\n{snippet}") from exc
    return change_file(client, file, before, after, "installed", write=write)


def remove(client: AIClient, *, write: bool = True) -> Installation:
    """Remove Allma from a client's file, or only return the change.

    Raises:
        InvalidArgument, StorageError: as `install`.
    """
    form = _format(client.format)
    file = client_file(client)
    try:
        before = read_file(file)
        whole = form.load(before)
        after = (
            form.remove_value(before, (client.servers_key, SERVER))
            if _entry(whole, client)
            else before
        )
        _check(form, after, whole, client, None)
    except Unreadable as exc:
        raise _unreadable(
            file, exc, f"Remove {SERVER!r} from {client.servers_key!r} yourself."
        ) from exc
    return change_file(client, file, before, after, "absent", write=write)


def _format(name: Format) -> FileFormat:
    """Return the module of a format; imported late, since each needs a parser."""
    match name:
        case "jsonc":
            from allma_server.integrations import jsonc

            return jsonc
        case "toml":
            from allma_server.integrations import toml

            return toml
        case "yaml":
            from allma_server.integrations import yaml

            return yaml


def _entry(whole: Mapping[str, object], client: AIClient) -> Mapping[str, object] | None:
    servers = whole.get(client.servers_key)
    found = cast("Mapping[str, object]", servers).get(SERVER) if isinstance(servers, dict) else None
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else None


def _check(
    form: FileFormat,
    after: str,
    whole: Mapping[str, object],
    client: AIClient,
    entry: Mapping[str, object] | None,
) -> None:
    """Check that only the entry of Allma differs from before.

    Raises:
        Unreadable: another part of an unusual file would change too.
    """
    now = form.load(after)
    rest = {k: v for k, v in whole.items() if k != client.servers_key}
    servers = whole.get(client.servers_key)
    others = {k: v for k, v in cast("dict[str, object]", servers or {}).items() if k != SERVER}
    now_servers = dict(cast("dict[str, object]", now.get(client.servers_key) or {}))
    same = now_servers.pop(SERVER, None) == entry and now_servers == others
    if not same or {k: v for k, v in now.items() if k != client.servers_key} != rest:
        raise Unreadable("it is written in a way that cannot be changed safely")


def change_file(
    client: AIClient,
    file: Path,
    before: str,
    after: str,
    state: Literal["installed", "absent"],
    *,
    write: bool,
) -> Installation:
    """Write a file of a client with a copy of the old one, or only return the change.

    Raises:
        StorageError: another program has changed the file meanwhile, or it cannot be written.
    """
    lines = difflib.unified_diff(
        split_lines(before), split_lines(after), str(file), str(file), lineterm="", n=0
    )
    change = "\n".join(list(lines))
    if not change or not write:
        return Installation(client.name, client.title, str(file), state, change)
    if read_file(file) != before:
        raise StorageError(f"Another program has just changed {file}.", "Try again.")
    backup = _write(file, after)
    next_step = client.after_install if state == "installed" else None
    return Installation(
        client.name, client.title, str(file), state, change, True, backup, next_step
    )


def read_file(path: Path) -> str:
    """Return the text of a client's file; empty if there is none.

    Raises:
        StorageError, Unreadable: it cannot be used.
    """
    try:
        # The file must belong to the user, or to the owner of its folder.
        folder = next(parent for parent in path.parents if parent.is_dir())
        return read_named(str(path), MAX_FILE_BYTES, trusted_owners(str(folder))).decode(
            "utf-8-sig"
        )
    except FileNotFoundError:
        return ""
    except NothingToIndex as exc:
        raise StorageError(
            f"Cannot use {path} as a configuration file. {exc.message}",
            "Replace it by a file of your own, or move it away.",
        ) from exc
    except UnicodeDecodeError as exc:
        raise Unreadable("it is not UTF-8") from exc
    except OSError as exc:
        raise StorageError(
            f"Cannot read {path}: {exc.strerror}.", "Check the permissions of the file."
        ) from exc


def _write(path: Path, text: str) -> str | None:
    """Write the file atomically and return the path of a copy of the old one."""
    backup = None
    try:
        if path.exists():
            now = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
            backup = str(path.with_name(f"{path.name}.{now}.bak"))
            shutil.copy2(path, backup)
        replace_file(path, text.encode("utf-8"))
    except OSError as exc:
        raise StorageError(
            f"Cannot write {path}: {exc.strerror}.", "Close the client and try again."
        ) from exc
    return backup


def _unreadable(path: Path, exc: Unreadable, hint: str) -> InvalidArgument:
    return InvalidArgument(f"Cannot use {path}: {exc}. The file is unchanged.", hint)
