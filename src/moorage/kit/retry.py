"""How often and how long something is tried again, by stamina, on the event loop's clock."""

import asyncio
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
    """The result of `call`, tried again on `on` with a growing pause; no try begins after `timeout` seconds.

    `timeout` None: for ever. A call that hangs is its own adapter's to end.
    """
    loop = asyncio.get_running_loop()
    ends = None if timeout is None else loop.time() + timeout  # the loop's clock, which tests may make virtual

    def is_tried_again(error: Exception) -> bool:
        return isinstance(error, on) and (ends is None or loop.time() < ends)

    async for attempt in stamina.retry_context(
        on=is_tried_again, attempts=None, timeout=None, wait_initial=first, wait_max=longest, wait_jitter=first
    ):
        with attempt:
            return await call()
    raise AssertionError("stamina gave up without raising")


def no_words_of_retries() -> None:
    """From now on stamina logs none: it would say the arguments, secrets among them."""
    stamina.instrumentation.set_on_retry_hooks([])
