"""The beginning of a client's conversation, replayed to a daemon that takes over.

Its size does not grow with time: later settings replace earlier ones, and all changes of folders
are merged into one. Standard library only.
"""

import json
from typing import Any, cast

from allma_server.protocols.faults import Message

_OPENINGS = {"initialize"}
_CONFIRMATIONS = {"initialized", "notifications/initialized"}
_FOLDERS = "workspace/didChangeWorkspaceFolders"
_SETTINGS = "workspace/didChangeConfiguration"


class Beginning:
    """The messages that a new daemon gets before any other."""

    def __init__(self) -> None:
        self._opening: bytes | None = None
        self._confirmation: bytes | None = None
        self._settings: bytes | None = None
        self._added: dict[str, object] = {}
        self._removed: dict[str, object] = {}

    def record(self, message: Message, body: bytes) -> bool:
        """Record a message of the client; return whether it is part of the beginning."""
        method, is_request = message.get("method"), "id" in message
        if method in _OPENINGS and is_request and self._opening is None:
            self._opening = body
        elif method in _CONFIRMATIONS and not is_request:
            self._confirmation = body
        elif method == _SETTINGS and not is_request:
            self._settings = body
        elif method == _FOLDERS and not is_request:
            self._change(message.get("params"))
        else:
            return False
        return True

    def answered(self, request: Message, answer: Message) -> None:
        """Record a response: a refused handshake is not replayed."""
        if "error" not in answer or request.get("method") not in _OPENINGS:
            return
        if self._opening is not None and json.loads(self._opening).get("id") == request.get("id"):
            self._opening = None

    def has(self, body: bytes) -> bool:
        """Return whether a request is part of the beginning."""
        return body == self._opening

    def bodies(self) -> list[bytes]:
        """Return the messages, in order."""
        messages = [self._opening, self._confirmation, self._settings]
        if self._added or self._removed:
            event = {"added": [*self._added.values()], "removed": [*self._removed.values()]}
            change = {"jsonrpc": "2.0", "method": _FOLDERS, "params": {"event": event}}
            messages.append(json.dumps(change).encode())
        return [body for body in messages if body is not None]

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
    return cast(dict[str, object], value).get(name) if isinstance(value, dict) else None


def _list(value: object) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []
