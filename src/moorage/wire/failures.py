"""A handler's error on its way back to the caller, who raises it again."""

from moorage.domain import errors
from moorage.domain.errors import MoorageError, Unavailable
from moorage.wire.messages import Failed


def failed(error: Exception) -> Failed:
    """What the caller is told. Of an error that is none of ours: only that it is internal, and its class."""
    if isinstance(error, MoorageError):
        return Failed(error=type(error).__name__, kind=error.kind, message=error.message)
    return internal(type(error).__name__)


def internal(what: str) -> Failed:
    return Failed(error="Unavailable", kind="", message=f"internal error: {what}")


def error_of(told: Failed) -> MoorageError:
    """The error as its class; Unavailable for a class that we do not know."""
    kind = getattr(errors, told.error, None)
    if isinstance(kind, type) and issubclass(kind, MoorageError):
        return kind(told.message, kind=told.kind)
    return Unavailable(told.message, kind=told.kind)
