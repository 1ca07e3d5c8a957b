"""How long a host goes on trying while a neighbour is Unavailable: each step by itself, the waits are not counted."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from moorage.domain.errors import Unavailable
from moorage.kit.retry import retry

T = TypeVar("T")
STEP_PATIENCE = 60.0  # seconds


async def patiently(step: Callable[[], Awaitable[T]]) -> T:
    """The result of a step, tried again for a minute. Raises Unavailable then, and anything else at once."""
    return await retry(step, on=Unavailable, timeout=STEP_PATIENCE)


async def for_ever(step: Callable[[], Awaitable[T]]) -> T:
    """The result of a step that must succeed some time: what is recorded, what is taken down."""
    return await retry(step, on=Unavailable, timeout=None)
