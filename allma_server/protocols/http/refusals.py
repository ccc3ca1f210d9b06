"""Refused requests: a status, and the contract's Error object with its sentence."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse

from allma_server.errors import (
    AllmaError,
    DiskFull,
    FolderNotAllowed,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ProviderBusy,
    ProviderError,
    ProviderUnreachable,
    StorageError,
    TookTooLong,
    Unsupported,
    as_dict,
)

_STATUS: Mapping[type[AllmaError], int] = {
    InvalidArgument: 400,
    PermissionDenied: 403,
    FolderNotAllowed: 403,
    NotFound: 404,
    DiskFull: 507,
    ProviderUnreachable: 503,
    ProviderBusy: 503,
    ProviderError: 502,
    StorageError: 503,
    Unsupported: 501,
    TookTooLong: 504,
}
"""By the class of the error; a class that is not here has the status of its parent."""


UNEXPECTED = {
    "code": "internal_error",
    "message": "Unexpected error.",
    "hint": "The server's log has the details.",
}


def refusal(
    status: int,
    code: str,
    message: str,
    hint: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return the response to a request that is refused."""
    return JSONResponse({"code": code, "message": message, "hint": hint}, status, headers)


def failure(error: AllmaError) -> JSONResponse:
    """Return the response to a request whose operation failed."""
    return JSONResponse(as_dict(error), _status_of(error))


def _status_of(error: AllmaError) -> int:
    """Return the HTTP status of an expected error."""
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)


def unexpected() -> JSONResponse:
    """Return the response to a request in which a bug was met; the log has the details."""
    return JSONResponse(UNEXPECTED, 500)


async def not_found(request: Request, error: Exception) -> JSONResponse:
    """Answer a request to an unknown address."""
    return refusal(404, "not_found", "Nothing is served at this address.")


async def wrong_method(request: Request, error: Exception) -> JSONResponse:
    """Answer a request whose method an address does not take."""
    return refusal(405, "method_not_allowed", "This address does not take this method.")


async def failed(request: Request, error: Exception) -> JSONResponse:
    """Answer a request in which a bug was met."""
    return unexpected()
