"""The settings as the shell shows and changes them; comments in the file are kept."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allma_server._internal.replace import replace_file
from allma_server.errors import InvalidArgument, StorageError


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting in force. `source`: default, config.toml, environment, or command line.

    `notice`: why it does not work, or not yet.
    """

    key: str
    value: str | int | bool | None
    source: str
    description: str
    notice: str | None = None

    @property
    def shown(self) -> str:
        """The value as it is written in the file."""
        match self.value:
            case None:
                return "none"
            case bool():
                return str(self.value).lower()
            case _:
                return str(self.value)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, and the file that can change them."""

    file: str
    settings: list[Setting]


def current(data_dir: str | None = None) -> Settings:
    """The settings in force; `data_dir` as the command line gave it.

    Raises:
        InvalidArgument: one of them is unknown or not valid.
    """
    # pydantic takes longer to import than the shell's help takes to print.
    from allma_server.config import Config, config_file, load_with_sources

    config, sources = load_with_sources({"data_dir": data_dir})
    settings = [
        Setting(
            key,
            _shown(key, getattr(config, key)),
            "command line" if sources[key] == "client" else sources[key],
            field.description or "",
        )
        for key, field in Config.model_fields.items()
    ]
    return Settings(str(config_file()), settings)


def setting(key: str, data_dir: str | None = None) -> Setting:
    """One setting in force.

    Raises:
        UnknownSetting: there is none of this name; the nearest is named.
    """
    from allma_server.config import check_key

    check_key(key)
    return next(s for s in current(data_dir).settings if s.key == key)


async def checked(key: str, value: str) -> str | None:
    """Why a value does not work now, though it may later; None when it does.

    Raises:
        InvalidArgument: it never works.
    """
    from allma_server.config import check_key, load_config
    from allma_server.diagnostics.setting_checks import check_setting

    check_key(key)
    return await check_setting(key, load_config({key: value}))


def waits(setting: Setting, running: Mapping[str, Any]) -> str | None:
    """Why a running engine does not use a setting; `running` are those that it works with."""
    from allma_server.config import LIVE

    key = setting.key
    if key == "data_dir" or key not in running or running[key] == setting.value:
        return None
    now = "none" if running[key] is None else running[key]
    if key in LIVE:
        return f"The running engine uses {now}, which its own environment says."
    return f"The running engine uses {now} until `allma daemon restart`."


def store(key: str, value: str) -> None:
    """Writes a setting to the settings file, once it is known to be valid.

    Raises:
        InvalidArgument: unknown key, impossible value, or a settings file that is not TOML.
        StorageError: the file cannot be written.
    """
    from allma_server.config import Config, check_key, load_config

    check_key(key)
    try:
        checked = _plain(getattr(load_config({key: value}), key))
    except InvalidArgument as exc:
        raise InvalidArgument(exc.message, Config.model_fields[key].description) from exc
    if checked is None:
        return remove(key)
    return _edit(lambda document: document.update({key: checked}))


def remove(key: str) -> None:
    """Takes a setting out of the settings file, so that its default is in force again.

    Raises:
        InvalidArgument, StorageError: as `store`.
    """
    from allma_server.config import check_key

    check_key(key)
    _edit(lambda document: document.pop(key, None))


def _shown(key: str, value: Any) -> Any:
    """A value as it may be seen: an address without the password that it may hold."""
    from allma_server._internal.addresses import without_password

    return without_password(value) if key.endswith("_url") and value else _plain(value)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _edit(change: Callable[[MutableMapping[str, Any]], object]) -> None:
    import tomlkit  # only a changed setting needs it
    from tomlkit.exceptions import ParseError

    from allma_server.config import config_file

    path = config_file()
    try:
        document = tomlkit.parse(path.read_bytes() if path.exists() else b"")
        change(document)
        replace_file(path, tomlkit.dumps(document).encode("utf-8"))
    except (ParseError, UnicodeDecodeError) as exc:
        raise InvalidArgument(
            f"The settings file {path} cannot be read: {exc}.", "Correct or remove it."
        ) from exc
    except OSError as exc:
        raise StorageError(
            f"The settings file {path} cannot be written: {exc.strerror}.",
            "ALLMA_CONFIG in the environment names another file.",
        ) from exc
