"""How often and how long something is tried again: a handful of named policies, by stamina."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import stamina

T = TypeVar("T")


async def retry(
    call: Callable[[], Awaitable[T]],
    *,
    on: type[Exception] | tuple[type[Exception], ...],
    timeout: float | None = 30.0,
    first: float = 0.05,
    longest: float = 2.0,
) -> T:
    """The result of `call`, again on `on` with a growing pause, for `timeout` seconds at most (None: ever)."""
    async for attempt in stamina.retry_context(
        on=on, attempts=None, timeout=timeout, wait_initial=first, wait_max=longest, wait_jitter=first
    ):
        with attempt:
            return await call()
    raise AssertionError("stamina gave up without raising")
