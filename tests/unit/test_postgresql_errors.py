"""What PostgreSQL's driver raises is one of our errors, whichever way the server went."""

import pytest
from asyncpg.exceptions import (
    ConnectionDoesNotExistError,
    InterfaceError,
    InternalClientError,
    UniqueViolationError,
)

from moorage.adapters.database.postgresql_errors import in_our_words
from moorage.domain.errors import Conflict, MoorageError, Unavailable


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (ConnectionDoesNotExistError("connection was closed in the middle of operation"), Unavailable),
        (InterfaceError("connection is closed"), Unavailable),  # type: ignore[no-untyped-call]
        (InternalClientError("cannot switch to state 11; another operation (2) is in progress"), Unavailable),
        (ConnectionRefusedError(111, "Connection refused"), Unavailable),
        (UniqueViolationError("there is one already"), Conflict),
    ],
)
def test_what_the_driver_raises_is_said_in_our_words(foreign: Exception, ours: type[MoorageError]) -> None:
    with pytest.raises(ours, match=r"^reading ports: "), in_our_words("reading ports"):
        raise foreign
