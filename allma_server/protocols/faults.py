"""JSON-RPC errors: how every protocol reports a failure.

    the bytes are not JSON                    PARSE_ERROR
    the JSON is not a message                 INVALID_REQUEST
    the method does not exist                 METHOD_NOT_FOUND
    InvalidArgument                           INVALID_PARAMS
    any other AllmaError                      the protocol's own code, else SERVER_ERROR
    anything else (a bug)                     INTERNAL_ERROR; the traceback is in the log only

`data` of an expected error is the contract's Error object, with `code`, `message` and `hint`.
Standard library only, and imported late: forwarders use this too, and each millisecond of their
start counts.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

if TYPE_CHECKING:
    import logging

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000

Id = int | str


class Message(TypedDict, total=False):
    """A JSON-RPC request, notification or response that `framing.parse` has checked."""

    jsonrpc: str
    id: Id
    method: str
    params: Any
    result: Any
    error: Any


class ErrorResponse(TypedDict):
    """A JSON-RPC response that reports a fault."""

    jsonrpc: str
    id: Id | None
    error: Mapping[str, object]


class Fault(NamedTuple):
    """The error of a JSON-RPC response."""

    code: int
    message: str
    data: Mapping[str, Any] | None = None

    def response(self, id: Id | None) -> ErrorResponse:
        """Return the response to the request `id`; None where no id could be read."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = dict(self.data)
        return {"jsonrpc": "2.0", "id": id, "error": error}


def fault(code: int, error_code: str, message: str, hint: str | None = None) -> Fault:
    """Return a fault with an Error object as `data`; `error_code` is in snake_case and stable."""
    data = {"code": error_code, "message": message, "hint": hint}
    return Fault(code, f"{message} {hint}" if hint else message, data)


def method_not_found(what: str) -> Fault:
    """Return the fault for an unknown method; `what` names it in a sentence."""
    return fault(METHOD_NOT_FOUND, "method_not_found", what)


def fault_of(exc: Exception, log: "logging.Logger", *, failed: int = SERVER_ERROR) -> Fault:
    """Return the fault that reports an exception; the traceback of a bug goes to `log` only.

    `failed`: the protocol's code for an expected error that no argument caused.
    """
    from allma_server.errors import AllmaError, InvalidArgument, as_dict

    if not isinstance(exc, AllmaError):
        log.error("unexpected error", exc_info=exc)
        return unexpected()
    code = INVALID_PARAMS if isinstance(exc, InvalidArgument) else failed
    return Fault(code, str(exc), as_dict(exc))


def unexpected() -> Fault:
    """Return the fault that reports a bug, without any detail of it."""
    import logging

    paths = [getattr(handler, "baseFilename", None) for handler in logging.getLogger().handlers]
    log_file = next(filter(None, paths), None)
    where = f"the log at {log_file}" if log_file else "the log"
    return fault(
        INTERNAL_ERROR, "internal_error", "Unexpected error.", f"Please report it with {where}."
    )
