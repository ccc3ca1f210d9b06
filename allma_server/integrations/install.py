"""A client's configuration: found, read, and changed with nothing lost."""

import difflib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from glob import escape, glob
from pathlib import Path
from types import ModuleType
from typing import Literal, cast

from allma_server._internal.lines import split_lines
from allma_server._internal.replace import replace_file
from allma_server._internal.workspace_files import read_named, trusted_owners
from allma_server.errors import InvalidArgument, NothingToIndex, StorageError, Unsupported
from allma_server.integrations import CLIENTS, Client, Format, Launch
from allma_server.integrations.text import Unreadable
from allma_server.locations import application_folders, variables_for_clients

LARGEST = 16 << 20
"""Bytes of a client's file; some keep their history in it."""

SERVER = "allma"
"""The name of our server in every client."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What a client's file says of Allma now, and what was done to it.

    `change` is the difference as a diff without context, which may hold others' secrets;
    `backup` the file as it was before.
    """

    client: str
    title: str
    file: str
    state: Literal["installed", "absent", "unreadable"]
    change: str = ""
    written: bool = False
    backup: str | None = None
    next_step: str | None = None


@dataclass(frozen=True, slots=True)
class Installations:
    """All clients."""

    clients: list[Installation]


def find_client(name: str) -> Client:
    """The client of this name.

    Raises:
        InvalidArgument: there is none; those that are known are named.
    """
    for client in CLIENTS:
        if client.name == name:
            return client
    names = [client.name for client in CLIENTS]
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise InvalidArgument(
        f"There is no client named {name!r}.", f"{hint}Known are: {', '.join(names)}."
    )


def locate(client: Client, platform: str, folders: Mapping[str, str]) -> Path:
    """The file of a client on a platform (as in `sys.platform`), whether it exists or not."""
    *others, usual = client.places.get(platform, client.places["linux"])
    literal = {name: escape(folder) for name, folder in folders.items()}
    for place in others:
        folder, name = os.path.split(place.format(**literal))
        if "*" in place and (found := sorted(glob(folder))):
            return Path(found[0]) / name
        if "*" not in place and (path := Path(place.format(**folders))).exists():
            return path
    return Path(usual.format(**folders))


def client_file(client: Client) -> Path:
    """The file of a client on this machine, whether it exists or not."""
    return locate(client, sys.platform, application_folders())


def own_launch(folders: Sequence[str] = (), data: str | None = None) -> Launch:
    """How a client starts this very installation, with the settings of this shell.

    Raises:
        Unsupported: it is a temporary one.
    """
    here = Path(sys.executable)
    script = here.with_name("allma-server.exe" if sys.platform == "win32" else "allma-server")
    # Where uvx and `pipx run` keep what they may throw away at any time.
    if (
        {"archive-v0", "environments-v2"} & set(here.parts)
        or "pipx" in here.parts[:-4]
        and (".cache" in here.parts)
    ):
        raise Unsupported(
            f"This Allma is a temporary one, at {here.parent}: clients need one that stays.",
            "`uv tool install allma-server` or `pipx install allma-server` installs it.",
        )
    program = [str(script)] if script.exists() else [str(here), "-m", "allma_server"]
    arguments = [*program[1:], "mcp"]
    for folder in folders:
        arguments += ["--workspace", folder]
    if data is not None:
        arguments += ["--data", data]
    return Launch(program[0], tuple(arguments), variables_for_clients())


def installed(client: Client) -> Launch | None:
    """How a client's file starts Allma; None when it does not.

    Raises:
        InvalidArgument: the file cannot be parsed.
        StorageError: it cannot be read.
    """
    entry = entry_of(client)
    return None if entry is None else client.shape.read(entry)


def entry_of(client: Client) -> Mapping[str, object] | None:
    """What a client's file says of Allma.

    Raises:
        InvalidArgument, StorageError: as `installed`.
    """
    path = client_file(client)
    try:
        return _entry(_format(client.format).load(_read(path)), client)
    except Unreadable as exc:
        raise _unreadable(path, exc, "Correct it, and try again.") from exc


def overview() -> Installations:
    """All clients, and which of them have Allma."""
    found: list[Installation] = []
    for client in CLIENTS:
        state: Literal["installed", "absent", "unreadable"] = "absent"
        try:
            state = "installed" if installed(client) is not None else "absent"
        except (InvalidArgument, StorageError):
            state = "unreadable"
        found.append(Installation(client.name, client.title, str(client_file(client)), state))
    return Installations(found)


def install(client: Client, launch: Launch, *, write: bool = True) -> Installation:
    """Puts Allma into a client's file, or shows what would change.

    What the user added to the entry stays; a second time changes nothing.

    Raises:
        InvalidArgument: the file cannot be parsed or safely changed; what to paste is told.
        StorageError: it cannot be read or written.
    """
    entry = client.shape.write(launch)
    path = (client.key, SERVER)
    form = _format(client.format)
    file = client_file(client)
    snippet = form.put("", path, {**client.shape.always, **entry}).strip()
    try:
        before = _read(file)
        whole = form.load(before)
        present = _entry(whole, client)
        if present is None:
            after = form.put(before, path, {**client.shape.always, **entry})
            expected = {**client.shape.always, **entry}
        else:
            after = before
            for key, value in entry.items():
                if present.get(key) != value:
                    after = form.put(after, (*path, key), value)
            expected = {**present, **entry}
        _check(form, after, whole, client, expected)
    except Unreadable as exc:
        raise _unreadable(file, exc, f"Put this into it:\n{snippet}") from exc
    return _change(client, file, before, after, "installed", write=write)


def remove(client: Client, *, write: bool = True) -> Installation:
    """Takes Allma out of a client's file, or shows what would change.

    Raises:
        InvalidArgument, StorageError: as `install`.
    """
    form = _format(client.format)
    file = client_file(client)
    try:
        before = _read(file)
        whole = form.load(before)
        after = form.drop(before, (client.key, SERVER)) if _entry(whole, client) else before
        _check(form, after, whole, client, None)
    except Unreadable as exc:
        raise _unreadable(file, exc, f"Take {SERVER!r} out of {client.key!r} by hand.") from exc
    return _change(client, file, before, after, "absent", write=write)


def _format(name: Format) -> ModuleType:
    """The module that reads and changes a format; each brings a parser along."""
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


def _entry(whole: Mapping[str, object], client: Client) -> Mapping[str, object] | None:
    servers = whole.get(client.key)
    found = cast("Mapping[str, object]", servers).get(SERVER) if isinstance(servers, dict) else None
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else None


def _check(
    form: ModuleType,
    after: str,
    whole: Mapping[str, object],
    client: Client,
    entry: Mapping[str, object] | None,
) -> None:
    """Makes sure that only our entry is another than before.

    Raises:
        Unreadable: an unusual file was not changed as it should.
    """
    now = form.load(after)
    rest = {k: v for k, v in whole.items() if k != client.key}
    servers = whole.get(client.key)
    others = {k: v for k, v in cast("dict[str, object]", servers or {}).items() if k != SERVER}
    now_servers = dict(now.get(client.key) or {})
    same = now_servers.pop(SERVER, None) == entry and now_servers == others
    if not same or {k: v for k, v in now.items() if k != client.key} != rest:
        raise Unreadable("it is written in a way that cannot be changed safely")


def _change(
    client: Client,
    file: Path,
    before: str,
    after: str,
    state: Literal["installed", "absent"],
    *,
    write: bool,
) -> Installation:
    lines = difflib.unified_diff(
        split_lines(before), split_lines(after), str(file), str(file), lineterm="", n=0
    )
    change = "\n".join(list(lines))
    if not change or not write:
        return Installation(client.name, client.title, str(file), state, change)
    if _read(file) != before:
        raise StorageError(f"{file} has just been changed by another program.", "Try again.")
    backup = _write(file, after)
    then = client.then if state == "installed" else None
    return Installation(client.name, client.title, str(file), state, change, True, backup, then)


def _read(path: Path) -> str:
    try:
        # Of the user, or of the owner of the folder, who has all say there.
        folder = next(parent for parent in path.parents if parent.is_dir())
        return read_named(str(path), LARGEST, trusted_owners(str(folder))).decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except NothingToIndex as exc:
        raise StorageError(
            f"{path} is not used as a configuration file. {exc.message}",
            "Put a file of your own in its place, or move it away.",
        ) from exc
    except UnicodeDecodeError as exc:
        raise Unreadable("it is not UTF-8") from exc
    except OSError as exc:
        raise StorageError(f"{path} cannot be read: {exc.strerror}.") from exc


def _write(path: Path, text: str) -> str | None:
    """Writes the file in one step; the path of the copy of what it was."""
    backup = None
    try:
        if path.exists():
            now = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
            backup = str(path.with_name(f"{path.name}.{now}.bak"))
            shutil.copy2(path, backup)
        replace_file(path, text.encode("utf-8"))
    except OSError as exc:
        raise StorageError(
            f"{path} cannot be written: {exc.strerror}.", "Close the client, and try again."
        ) from exc
    return backup


def _unreadable(path: Path, exc: Unreadable, hint: str) -> InvalidArgument:
    return InvalidArgument(f"{path} cannot be used: {exc}. It was left as it is.", hint)
