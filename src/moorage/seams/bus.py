"""How services and hosts talk when they are not speaking HTTP: compute API and hosts, network and agents."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Never, Protocol

from moorage.wire.messages import Message

Handler = Callable[[Message], Awaitable[Message | None]]


class Bus(Protocol):
    """Queues by name. Messages that were taken are not lost while the bus lives, and come at least once.

    They are handed out in the order they were sent in, but handled side by side; one that comes again, because its
    handler was Unavailable or its server ended, comes out of order. Who needs an order puts it into the message.
    """

    async def cast(self, queue: str, message: Message) -> None:
        """Send and forget; returns when the bus has taken it for good. Raises Unavailable (a full queue too)."""

    async def call(self, queue: str, message: Message, *, timeout: float = 10.0) -> Message:
        """Send and wait for the answer, `timeout` seconds at most. A call whose caller has gone need not be handled.

        Raises Unavailable in time (at once when the bus is lost meanwhile), and the handler's own MoorageError by its
        class.
        """

    async def serve(self, queue: str, handler: Handler) -> Never:
        """Answer a queue's messages, side by side, until cancelled. The queue exists from the first serve or cast on.

        What the handler returns answers a call; a MoorageError it raises answers it as that error. A cast whose handler
        raises Unavailable comes again, until it is done; any other error is logged and the message is done. Nothing
        that a message or its handler does ends this or touches another message.
        """

    def reconnects(self) -> AsyncIterator[None]:
        """Tells each time the bus is back after it was lost: whoever waits for news looks for itself, now.

        Counts from this call on, not from the first `anext`; several since the last look are told once. Never ends.
        """
