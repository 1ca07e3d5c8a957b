"""Waiting, at start, for what a process needs: it may be started before its neighbours."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from moorage.domain.errors import Unavailable
from moorage.kit.retry import retry

T = TypeVar("T")

log = structlog.get_logger(__name__)


async def for_ever(what: str, step: Callable[[], Awaitable[T]]) -> T:
    """The result of `step`, tried again while it is Unavailable; the log says once what is waited for."""
    is_said = False

    async def trying() -> T:
        nonlocal is_said
        try:
            return await step()
        except Unavailable as error:
            if not is_said:
                is_said = True
                log.warning("waiting", waits_for=what, why=error.message)
            raise

    found = await retry(trying, on=Unavailable, timeout=None, first=0.05, longest=1.0)
    if is_said:
        log.info("found", waited_for=what)
    return found
