"""What PostgreSQL and its driver raise, in our words."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from asyncpg.exceptions import InterfaceError, InternalClientError, PostgresError
from sqlalchemy.exc import DBAPIError

from moorage.domain.errors import Conflict, Full, Invalid, MoorageError, Unavailable

# InternalClientError: asyncpg's own state, when the server dies while a connection is just being made or used
_FOREIGN = (DBAPIError, PostgresError, InterfaceError, InternalClientError, OSError)


def shown(url: str) -> str:
    """The URL without the secrets that it may hold."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def in_our_words(act: str) -> Iterator[None]:
    """For users too: no statements, no places, no names of the server's users."""
    try:
        yield
    except _FOREIGN as error:
        raise _ours(error, act) from error


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """For whoever has said where the database is: all that there is to know, but for the password."""
    try:
        yield
    except _FOREIGN as error:
        raise Unavailable(f"{shown(url)} cannot be used: {_said(error)}") from error


def state_of(error: object) -> str:
    """The SQLSTATE, "" for what is no error of the server's."""
    cause = getattr(error, "__cause__", None)  # SQLAlchemy passes it on, but for a plan that is out of date
    return getattr(error, "sqlstate", None) or getattr(cause, "sqlstate", None) or ""


def _ours(error: Exception, act: str) -> MoorageError:
    state = state_of(_bare(error))
    if state.startswith("23"):
        return Conflict(f"{act}: {_said(error)}")
    if state.startswith("22"):
        return Invalid(f"{act}: {_said(error)}")
    is_refused = state.startswith(("28", "3D"))  # who we are, and where
    kind = Full if state == "53100" else Unavailable
    return kind(f"{act}: the database cannot be used: {'it refuses us' if is_refused else _said(error)}")


def _said(error: Exception) -> str:
    bare = _bare(error)
    match bare:
        case TimeoutError():
            return "it did not answer in time"
        case OSError(errno=int(number)) if number > 0:
            return os.strerror(number)
        case OSError(strerror=str(text)):
            return text
    return str(bare).partition(">: ")[2] or str(bare) or type(bare).__name__  # less the driver's class


def _bare(error: Exception) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
