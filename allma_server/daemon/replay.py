"""How a client's conversation began, for a daemon that takes over in the middle of it.

Bounded however long a client stays: settings replace each other, and folders that came and went
are one change. Standard library only.
"""

import json
from typing import Any, cast

Message = dict[str, Any]

_OPENINGS = {"initialize"}
_CONFIRMATIONS = {"initialized", "notifications/initialized"}
_FOLDERS = "workspace/didChangeWorkspaceFolders"
_SETTINGS = "workspace/didChangeConfiguration"


class Beginning:
    """What a new daemon is told before anything else."""

    def __init__(self) -> None:
        self._opening: bytes | None = None
        self._confirmation: bytes | None = None
        self._settings: bytes | None = None
        self._added: dict[str, Any] = {}
        self._removed: dict[str, Any] = {}

    def note(self, message: Message, body: bytes) -> bool:
        """Notes a message of the client; whether it is part of the beginning."""
        method, asks = message.get("method"), "id" in message
        if method in _OPENINGS and asks and self._opening is None:
            self._opening = body
        elif method in _CONFIRMATIONS and not asks:
            self._confirmation = body
        elif method == _SETTINGS and not asks:
            self._settings = body
        elif method == _FOLDERS and not asks:
            self._change(message.get("params"))
        else:
            return False
        return True

    def answered(self, request: Message, answer: Message) -> None:
        """Notes an answer: a handshake that was refused is none."""
        if "error" not in answer or request.get("method") not in _OPENINGS:
            return
        if self._opening is not None and json.loads(self._opening).get("id") == request.get("id"):
            self._opening = None

    def has(self, body: bytes) -> bool:
        """Whether a request is among what is told."""
        return body == self._opening

    def bodies(self) -> list[bytes]:
        """The messages, in their order."""
        told = [self._opening, self._confirmation, self._settings]
        if self._added or self._removed:
            event = {"added": [*self._added.values()], "removed": [*self._removed.values()]}
            change = {"jsonrpc": "2.0", "method": _FOLDERS, "params": {"event": event}}
            told.append(json.dumps(change).encode())
        return [body for body in told if body is not None]

    def _change(self, params: object) -> None:
        event = _member(params, "event")
        for folder in _list(_member(event, "removed")):
            uri = str(_member(folder, "uri"))
            if self._added.pop(uri, None) is None:
                self._removed[uri] = folder
        for folder in _list(_member(event, "added")):
            uri = str(_member(folder, "uri"))
            self._removed.pop(uri, None)
            self._added[uri] = folder


def _member(value: object, name: str) -> object:
    return cast(Message, value).get(name) if isinstance(value, dict) else None


def _list(value: object) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []
