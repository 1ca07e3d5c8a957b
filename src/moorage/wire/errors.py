"""Each service's shape of an error body, and the status for each kind of error."""

from collections.abc import Mapping
from typing import Any

from moorage.domain.errors import (
    Conflict,
    Exhausted,
    Forbidden,
    Invalid,
    MoorageError,
    NotFound,
    Stale,
    TooLarge,
    Unauthorized,
    Unavailable,
)

Rendered = tuple[int, Mapping[str, Any]]  # status, body

INTERNAL = "The server has either erred or is incapable of performing the requested operation."


class HttpFault(MoorageError):
    """An error that only HTTP knows: a wrong method, an unknown path, a version that is not offered."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def status_of(error: Exception) -> int:
    """The HTTP status of an error, the same in all four services but for Exhausted (409 here)."""
    match error:
        case HttpFault():
            return error.status
        case Unauthorized():
            return 401
        case Forbidden():
            return 403
        case TooLarge():
            return 413
        case Invalid():
            return 400
        case NotFound():
            return 404
        case Stale():
            return 412
        case Conflict() | Exhausted():
            return 409
        case Unavailable():
            return 503
        case _:
            return 500


def message_of(error: Exception) -> str:
    """What a user may read; nothing of an error that is ours."""
    return error.message if isinstance(error, MoorageError) else INTERNAL


_COMPUTE_NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}


def compute_error(error: Exception) -> Rendered:
    status = 403 if isinstance(error, Exhausted) else status_of(error)
    return status, {_COMPUTE_NAMES.get(status, "computeFault"): {"code": status, "message": message_of(error)}}


_NETWORK_TYPES = {
    400: "InvalidInput",
    401: "HTTPUnauthorized",
    403: "PolicyNotAuthorized",
    404: "HTTPNotFound",
    409: "Conflict",
    412: "RevisionNumberConstraintFailed",
}


def network_error(error: Exception) -> Rendered:
    status = status_of(error)
    kind = error.kind if isinstance(error, MoorageError) else ""
    kind = kind or _NETWORK_TYPES.get(status, f"HTTP{status}")
    return status, {"NeutronError": {"type": kind, "message": message_of(error), "detail": ""}}


_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    412: "Precondition Failed",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


def identity_error(error: Exception) -> Rendered:
    status = status_of(error)
    return status, {"error": {"code": status, "title": _TITLES.get(status, "Error"), "message": message_of(error)}}


def image_error(error: Exception) -> Rendered:
    status = status_of(error)
    return status, {
        "message": message_of(error),
        "code": f"{status} {_TITLES.get(status, 'Error')}",
        "title": _TITLES.get(status, "Error"),
    }
