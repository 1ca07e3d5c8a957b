"""How services and hosts talk when they are not speaking HTTP: compute API and hosts, network and agents."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Never, Protocol

from moorage.wire.messages import Message

Handler = Callable[[Message], Awaitable[Message | None]]

FIRST_DELAY = 0.1  # seconds until a cast that failed is handled again; doubles
LONGEST_DELAY = 5.0  # seconds
MOST_FAILURES = 5  # of a handler that fails for no reason that it gives, before its message is set aside


def delay_before(attempt: int) -> float:
    """Seconds between two attempts to handle a cast; the first attempt after a failure has number 1."""
    return min(FIRST_DELAY * (1 << min(attempt - 1, 10)), LONGEST_DELAY)


class Bus(Protocol):
    """Queues by name. Messages that were taken are not lost and come at least once.

    They are handed out in the order they were sent in, but handled side by side, and a queue may have several servers;
    one that comes again, because its handler was Unavailable or its server ended, comes out of order. Who needs an
    order puts it into the message.
    """

    async def cast(self, queue: str, message: Message) -> None:
        """Send and forget; returns when the bus has taken it for good, within some seconds.

        Raises Unavailable: it may have been taken all the same. Also when the queue is full (so many wait, and so many
        are in its servers' hands), and when nobody has ever served it. What nobody takes in a long time (an hour or
        more, for what its receiver asks for anyway a minute) is dropped.
        """

    async def call(self, queue: str, message: Message, *, timeout: float = 10.0) -> Message:
        """Send and wait for the answer, `timeout` seconds at most. A call whose caller has gone need not be handled.

        Raises Unavailable in time (at once when the bus is lost meanwhile, or nobody has ever served the queue), and
        the handler's own MoorageError by its class.
        """

    async def serve(self, queue: str, handler: Handler) -> Never:
        """Answer a queue's messages, side by side, until cancelled. The queue exists from the first serve on.

        What the handler returns answers a call; an error it raises answers it as that error. A cast whose handler
        raises Unavailable comes again, until it is done; after any other MoorageError the message is done. Whatever
        else goes wrong (a bug, a message that cannot be read, a server that dies of it) is tried a few times at most,
        and then the cast is set aside for people to look at (seams/set_aside.py). Nothing that a message or its handler
        does ends this or touches another message.
        """

    def reconnects(self) -> AsyncIterator[None]:
        """Tells each time the bus is back after it was lost: whoever waits for news looks for itself, now.

        Counts from this call on, not from the first `anext`; several since the last look are told once. Never ends.
        """
