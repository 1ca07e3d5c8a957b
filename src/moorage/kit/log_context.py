"""What every log line of a piece of work bears: its own, whoever it is called by, and whoever it calls."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

REQUEST_ID = "request_id"


def request_id() -> str:
    """The id of the request that is being worked for, "" for none."""
    return str(structlog.contextvars.get_contextvars().get(REQUEST_ID, ""))


@contextmanager
def kept_log_context() -> Iterator[None]:
    """Whatever is bound inside is gone afterwards, and what was bound before is there again."""
    before = structlog.contextvars.get_contextvars()
    try:
        yield
    finally:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**before)
