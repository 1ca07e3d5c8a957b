"""How services and hosts talk when they are not speaking HTTP: compute API and hosts, network and agents."""

from collections.abc import Awaitable, Callable
from typing import Never, Protocol

from moorage.wire.messages import Message

Handler = Callable[[Message], Awaitable[Message | None]]


class Bus(Protocol):
    """Queues by name. Messages that were taken are not lost while the bus lives, and come at least once, in order."""

    async def cast(self, queue: str, message: Message) -> None:
        """Send and forget; returns when the bus has taken it for good. Raises Unavailable (a full queue too)."""

    async def call(self, queue: str, message: Message, *, timeout: float = 10.0) -> Message:
        """Send and wait for the answer, `timeout` seconds at most.

        Raises Unavailable in time, and the handler's own MoorageError by its class.
        """

    async def serve(self, queue: str, handler: Handler) -> Never:
        """Answer a queue's messages, side by side, until cancelled. The queue exists from the first serve or cast on.

        What the handler returns answers a call; a MoorageError it raises answers it as that error. A cast whose handler
        raises Unavailable comes again; any other error is logged and the message is done.
        """
