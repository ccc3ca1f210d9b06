"""Show and change the settings; comments in the file are kept."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allma_server._internal.addresses import without_password
from allma_server._internal.replace import replace_file
from allma_server.errors import InvalidArgument, StorageError


@dataclass(frozen=True, slots=True)
class Setting:
    """The current value of a setting. `source`: default, config.toml, environment or command line.

    `notice`: why the value does not work, or not yet.
    """

    key: str
    value: str | int | bool | None
    source: str
    description: str
    notice: str | None = None

    @property
    def text(self) -> str:
        """The value as the file has it."""
        match self.value:
            case None:
                return "none"
            case bool():
                return str(self.value).lower()
            case _:
                return str(self.value)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, and the path of the settings file."""

    file: str
    settings: list[Setting]


def current(data_dir: str | None = None) -> Settings:
    """Return all settings; `data_dir` is the option of the command line.

    Raises:
        InvalidArgument: a setting is unknown or not valid.
    """
    from allma_server.config import Config, config_file, load_with_sources  # late: not for the help

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
    """Return one setting.

    Raises:
        UnknownSetting: no setting has this name.
    """
    from allma_server.config import check_key

    check_key(key)
    return next(s for s in current(data_dir).settings if s.key == key)


async def check(key: str, value: str) -> str | None:
    """Return why a value does not work yet, such as a server that is down; None if it works.

    Raises:
        InvalidArgument: the value can never work.
    """
    from allma_server.config import check_key, load_config
    from allma_server.diagnostics.setting_checks import check_setting

    check_key(key)
    return await check_setting(key, load_config({key: value}))


def pending_change(setting: Setting, running: Mapping[str, Any]) -> str | None:
    """Return why a running engine uses another value; `running` are the engine's settings."""
    from allma_server.config import LIVE, SERVER

    key = setting.key
    if key in SERVER or key == "data_dir" or key not in running or running[key] == setting.value:
        return None
    now = "none" if running[key] is None else running[key]
    if key in LIVE:
        return f"The running engine uses {now} from its own environment."
    return f"The running engine uses {now} until `allma daemon restart`."


def store(key: str, value: str) -> None:
    """Check a setting and write it to the settings file.

    Raises:
        InvalidArgument: unknown key, invalid value, or a settings file that is not TOML.
        StorageError: the file cannot be written.
    """
    from allma_server.config import Config, check_key, load_config

    check_key(key)
    try:
        valid = _plain(getattr(load_config({key: value}), key))
    except InvalidArgument as exc:
        raise InvalidArgument(exc.message, Config.model_fields[key].description) from exc
    if valid is None:
        return remove(key)
    return _edit(lambda document: document.update({key: valid}))


def remove(key: str) -> None:
    """Remove a setting from the settings file, which restores its default.

    Raises:
        InvalidArgument, StorageError: as `store`.
    """
    from allma_server.config import check_key

    check_key(key)
    _edit(lambda document: document.pop(key, None))


def _shown(key: str, value: Any) -> Any:
    """Return a value without the password that an address may have."""
    return without_password(value) if key.endswith("_url") and value else _plain(value)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _edit(change: Callable[[MutableMapping[str, Any]], object]) -> None:
    import tomlkit  # late: only a change needs it
    from tomlkit.exceptions import ParseError

    from allma_server.locations import writable_config_file

    path = writable_config_file()
    try:
        document = tomlkit.parse(path.read_bytes() if path.exists() else b"")
        change(document)
        replace_file(path, tomlkit.dumps(document).encode("utf-8"))
    except (ParseError, UnicodeDecodeError) as exc:
        raise InvalidArgument(
            f"Cannot read the settings file {path}: {exc}.", "Correct or remove the file."
        ) from exc
    except OSError as exc:
        raise StorageError(
            f"Cannot write the settings file {path}: {exc.strerror}.",
            "Set ALLMA_CONFIG in the environment to use another file.",
        ) from exc
