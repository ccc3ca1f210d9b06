"""What an LSP client hands over: the settings that shape its questions, and how it wants them.

Settings that shape the data belong to the data directory; a client cannot change them for all.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

from pydantic.alias_generators import to_camel, to_snake

from allma_server.config import Config


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The settings of one connection.

    `model`, `top_k` and `workspace` are the defaults of its questions. `stream_notification`
    sends chunks of answers as `allma/chunk` instead of `$/progress`, for clients whose progress
    display would show them.
    """

    model: str | None = None
    top_k: int | None = None
    workspace: str | None = None
    index_workspace_folders: bool = True
    stream_notification: bool = False

    @property
    def defaults(self) -> dict[str, Any]:
        """Arguments for operations that take them and were given none."""
        given = {"model": self.model, "top_k": self.top_k, "workspace": self.workspace}
        return {name: value for name, value in given.items() if value is not None}


_KINDS: dict[str, type] = {
    "model": str,
    "top_k": int,
    "workspace": str,
    "index_workspace_folders": bool,
    "stream_notification": bool,
}
_OTHER_NAMES = {"chat_model": "model"}


@dataclass(frozen=True, slots=True)
class Applied:
    """Settings with what a client gave, the complaints about it, and what belongs elsewhere."""

    settings: ClientSettings
    complaints: list[str] = field(default_factory=list[str])
    elsewhere: dict[str, Any] = field(default_factory=dict[str, Any])


def apply(settings: ClientSettings, given: object) -> Applied:
    """The settings, changed by what a client gave.

    Null values are unset keys, and objects are the client's own settings: ours are flat.
    """
    if given is None:
        return Applied(settings)
    if not isinstance(given, Mapping):
        return Applied(settings, ["The settings of Allma are a JSON object."])
    changes: dict[str, Any] = {}
    applied = Applied(settings)
    for key, value in cast(Mapping[str, Any], given).items():
        name = to_snake(key)
        name = _OTHER_NAMES.get(name, name)
        if value is None or isinstance(value, Mapping):
            continue
        if name in _KINDS:
            if complaint := _complaint(name, value):
                applied.complaints.append(complaint)
            else:
                changes[name] = None if (name, value) == ("model", "auto") else value
        elif name in Config.model_fields:
            applied.elsewhere[name] = value
        else:
            applied.complaints.append(_unknown(key))
    return replace(applied, settings=replace(settings, **changes))


def _complaint(name: str, value: Any) -> str | None:
    kind = _KINDS[name]
    if type(value) is not kind:
        wanted = {str: "a string", int: "a whole number", bool: "true or false"}[kind]
        return f"The setting {to_camel(name)} of Allma is {wanted}."
    if name == "top_k" and not 1 <= value <= 50:
        return "The setting topK of Allma is a whole number from 1 to 50."
    return None


def _unknown(key: str) -> str:
    known = [to_camel(n) for n in (*(f.name for f in fields(ClientSettings)), *Config.model_fields)]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"Allma has no setting named {key!r}.{hint}"
