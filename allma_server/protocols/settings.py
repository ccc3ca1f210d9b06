"""The settings that an LSP client can send; they apply to its own requests.

All other settings belong to the data directory, which clients share.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from pydantic.alias_generators import to_camel, to_snake

from allma_server.config import Config
from allma_server.types import Think


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a client; the extensions' documentation and checks are generated from it.

    `default`: the value if it is not set. `least` and `most`: limits of a number. `choices`: the
    allowed strings. `technical`: for the code of a client, not for its users.
    """

    name: str
    kind: type[str] | type[int] | type[bool]
    default: str | int | bool
    description: str
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    technical: bool = False

    def takes(self, number: int) -> bool:
        """Return whether a number is within the bounds."""
        least = number if self.least is None else self.least
        most = number if self.most is None else self.most
        return least <= number <= most


SETTINGS = (
    Setting(
        "chat_model",
        str,
        "auto",
        "The model that answers, such as `llama3.2:3b`. `auto`: the model selected last, else the "
        "first installed chat model.",
    ),
    Setting(
        "think",
        str,
        "auto",
        "Whether a model that can think does so before it answers: `on`, `off`, or `auto` (off "
        "where the server lets it be chosen, so that answers begin at once).",
        choices=("auto", "on", "off"),
    ),
    Setting(
        "top_k",
        int,
        5,
        "Maximum number of passages in a prompt and in a search result.",
        least=1,
        most=50,
    ),
    Setting(
        "workspace",
        str,
        "",
        "The folder that questions and searches are limited to, or `all` for all indexed folders. "
        "If empty: the open projects, or all indexed folders if none is open.",
    ),
    Setting(
        "index_workspace_folders",
        bool,
        True,
        "Index the open projects, and update the index when files change. `.gitignore` and "
        "`.allmaignore` are respected.",
    ),
    Setting(
        "stream_notification",
        bool,
        False,
        "Send chunks of answers as `allma/chunk` instead of `$/progress`, for clients whose "
        "progress display would show them.",
        technical=True,
    ),
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}
_OTHER_NAMES = {"model": "chat_model"}


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The settings of one connection; None means the server's value."""

    chat_model: str | None = None
    think: Think | None = None
    top_k: int | None = None
    workspace: str | None = None
    index_workspace_folders: bool = True
    stream_notification: bool = False

    @property
    def defaults(self) -> dict[str, object]:
        """Values for optional arguments that requests omit."""
        given = {
            "model": self.chat_model,
            "think": self.think,
            "top_k": self.top_k,
            "workspace": self.workspace,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Applied:
    """Settings with a client's changes.

    `complaints`: sentences about invalid ones. `elsewhere`: settings of the data directory.
    """

    settings: ClientSettings
    complaints: list[str] = field(default_factory=list[str])
    elsewhere: dict[str, object] = field(default_factory=dict[str, object])


def apply(settings: ClientSettings, given: object) -> Applied:
    """Return the settings with a client's changes.

    Null and the empty string unset a key, so that the server's value applies again. Objects are
    ignored: they are settings of the client itself, because Allma's are flat.
    """
    if given is None:
        return Applied(settings)
    if not isinstance(given, Mapping):
        return Applied(settings, ["The settings of Allma are a JSON object."])
    changes: dict[str, object] = {}
    applied = Applied(settings)
    for key, value in cast(Mapping[str, Any], given).items():
        name = to_snake(key)
        name = _OTHER_NAMES.get(name, name)
        if isinstance(value, Mapping):
            continue
        if name in _BY_NAME:
            if value is None or value == "":
                changes[name] = getattr(ClientSettings(), name)
            elif complaint := _complaint(_BY_NAME[name], value):
                applied.complaints.append(complaint)
            else:
                changes[name] = value
        elif name in Config.model_fields:
            if value is not None:
                applied.elsewhere[name] = value
        elif value is not None:
            applied.complaints.append(_unknown(key))
    return replace(applied, settings=replace(settings, **changes))


def _complaint(setting: Setting, value: Any) -> str | None:
    named = f"The setting {to_camel(setting.name)} of Allma is"
    if type(value) is not setting.kind:
        wanted = {str: "a string", int: "a whole number", bool: "true or false"}[setting.kind]
        return f"{named} {wanted}."
    if setting.choices and value not in setting.choices:
        return f"{named} one of: {', '.join(setting.choices)}."
    if isinstance(value, int) and not setting.takes(value):
        return f"{named} a whole number from {setting.least} to {setting.most}."
    return None


def _unknown(key: str) -> str:
    known = [to_camel(name) for name in (*_BY_NAME, *Config.model_fields)]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"Allma has no setting named {key!r}.{hint}"
