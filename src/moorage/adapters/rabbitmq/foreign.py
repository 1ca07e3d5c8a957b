"""aio-pika's coroutines, run so that they harm nobody.

When a connection ends, aio-pika cancels or fails all that waits for it. A task of ours that waited would be cancelled
by nobody who may. So each coroutine has a task of its own, and who wants its result waits for a future.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import aio_pika.exceptions
import aiormq.exceptions

from moorage.domain.errors import Invalid, NotFound, Unavailable

T = TypeVar("T")


class Unroutable(Unavailable):
    """No queue is bound for this: the message is nowhere."""


TROUBLES: tuple[type[Exception], ...] = (*aio_pika.exceptions.CONNECTION_EXCEPTIONS, TimeoutError)


def started(group: asyncio.TaskGroup, foreign: Awaitable[T]) -> asyncio.Future[T]:
    """What `foreign` will return. Fails with Unavailable, NotFound; with Invalid where the broker refuses for good."""
    result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    result.add_done_callback(seen)
    work = _into(result, foreign)
    try:
        group.create_task(work)
    except RuntimeError as error:  # the group has ended
        for unused in (work, foreign):
            if asyncio.iscoroutine(unused):
                unused.close()
        fail(result, Unavailable("the bus is lost"), error)
    return result


async def _into(result: asyncio.Future[T], foreign: Awaitable[T]) -> None:
    try:
        value = await foreign
    except aiormq.exceptions.PublishError as error:
        fail(result, Unroutable("nobody has served its queue yet"), error)
    except aiormq.exceptions.DeliveryError as error:
        fail(result, Unavailable("its queue is full"), error)
    except aiormq.exceptions.ChannelNotFoundEntity as error:
        fail(result, NotFound(f"the broker has none: {said(error)}"), error)
    except aiormq.exceptions.ChannelPreconditionFailed as error:
        fail(result, Invalid(f"the broker refuses: {said(error)}"), error)
    except TROUBLES as error:
        fail(result, Unavailable(f"the bus was lost: {said(error)}"), error)
    except Exception as error:  # ours, or a bug: it is theirs who wait
        fail(result, error, error.__cause__)
    else:
        if not result.done():
            result.set_result(value)
    finally:
        fail(result, Unavailable("the bus was lost"))  # unless it is done


def fail(future: asyncio.Future[Any], error: BaseException | None, cause: BaseException | None = None) -> None:
    """Unless it is done already, or there is no error."""
    if error is not None and not future.done():
        error.__cause__ = cause
        future.set_exception(error)


def seen(future: asyncio.Future[Any]) -> None:
    """Its failure is known, whether or not anybody waits for it."""
    if not future.cancelled():
        future.exception()


def said(error: object) -> str:
    return str(error) or type(error).__name__ if isinstance(error, BaseException) else "by us"
