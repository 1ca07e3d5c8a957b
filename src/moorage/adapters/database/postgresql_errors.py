"""What PostgreSQL and its driver raise, in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from asyncpg.exceptions import InterfaceError, PostgresError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoneFree

from moorage.domain.errors import Conflict, Full, Invalid, MoorageError, Unavailable


def shown(url: str) -> str:
    """The URL without the secrets that it may hold."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def in_our_words(act: str, url: str) -> Iterator[None]:
    """Ours in place of PostgreSQL's and the driver's errors, without statements and secrets."""
    try:
        yield
    except (DBAPIError, PostgresError, InterfaceError, OSError, NoneFree) as error:
        raise _ours(error, act, url) from error


def _ours(error: Exception, act: str, url: str) -> MoorageError:
    said = error.orig if isinstance(error, DBAPIError) and error.orig else error
    state = state_of(said)
    what = str(said).partition(">: ")[2] or str(said) or type(said).__name__  # less the driver's class
    if state.startswith("23"):
        return Conflict(f"{act}: {what}")
    if state.startswith("22"):
        return Invalid(f"{act}: {what}")
    if isinstance(said, TimeoutError):
        what = "it did not answer in time"
    elif isinstance(said, NoneFree):
        what = "too much is waiting for it"
    kind = Full if state == "53100" else Unavailable
    return kind(f"{act}: the database cannot be used: {what} ({shown(url)})")


def state_of(error: object) -> str:
    """The SQLSTATE, "" for what is no error of the server's."""
    return getattr(error, "sqlstate", None) or ""
