"""One connection to the broker while it lasts: what is sent, the answers to calls, and word that it is lost.

Messages go through the channels that lie under aio-pika's: a third of the work, and nothing of what it adds is needed.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import AbstractChannel as Under
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from moorage.adapters.rabbitmq import routes
from moorage.adapters.rabbitmq.foreign import fail, said, started
from moorage.adapters.rabbitmq.settings import host_of
from moorage.domain.errors import MoorageError, Unavailable
from moorage.domain.hops import Crossing

T = TypeVar("T")

PROBE_EVERY = 2.0  # seconds; a broker that is connected and silent is found out by then …
PROBE_WITHIN = 3.0  # … and so much


@dataclass(frozen=True)
class Parcel:
    """What is sent: `body`, and what the broker and the receiver must know of it."""

    body: bytes
    kind: str  # the class of the message, for people
    lasts: bool = False
    good_for: float | None = None  # seconds
    reply_to: str | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(16))  # who does not know it cannot answer
    headers: dict[str, Any] = field(default_factory=dict)


class Link:
    """`lost` holds the reason, in words, as soon as the link is of no more use. Its tasks belong to `group`."""

    def __init__(self, connection: AbstractConnection, user: str, group: asyncio.TaskGroup) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.reply_to = routes.reply_queue(host_of(user), secrets.token_hex(16))
        self._connection = connection
        self._user = user
        self._group = group
        self._publishing: Under | None = None
        self._calls: dict[str, asyncio.Future[bytes]] = {}
        connection.close_callbacks.add(lambda _, error: self.lose(f"the connection was closed ({said(error)})"))

    async def open(self) -> None:
        """Make ready to send and to be answered. Raises Unavailable, Invalid."""
        publishing = await self.channel(self._channel_closed, confirms=True)
        for name, kind in routes.EXCHANGES.items():
            if host_of(self._user) is None:  # hosts may not: they find them made
                await self.do(publishing.declare_exchange(name, kind, durable=True))
        if host_of(self._user) is None:
            dead = await self.do(publishing.declare_queue(routes.DEAD, durable=True, arguments=routes.dead_arguments()))
            await self.do(dead.bind(routes.DEAD, routes.DEAD))
        self._publishing = await self.do(publishing.get_underlay_channel())
        replies = await self.channel(self._channel_closed)
        queue = await self.do(replies.declare_queue(self.reply_to, exclusive=True, arguments=_CLASSIC))
        await self.do(queue.bind(routes.REPLIES, self.reply_to))
        under = await self.do(replies.get_underlay_channel())
        await self.do(under.basic_consume(self.reply_to, self._answered, no_ack=True))
        self._group.create_task(self._probe(replies))

    async def channel(self, closed: Callable[[str], None], *, confirms: bool = False) -> AbstractChannel:
        """A new channel; `closed` is told why it ends. Raises Unavailable."""
        channel = await self.do(_opened(self._connection, confirms))
        channel.close_callbacks.add(lambda _, error: closed(said(error)))
        return channel

    def lose(self, why: str) -> None:
        """The link is of no more use: calls under way fail."""
        if not self.lost.done():
            self.lost.set_result(why)
        calls, self._calls = self._calls, {}
        for answer in calls.values():
            fail(answer, Unavailable("the bus was lost before the answer came"))

    async def do(self, foreign: Awaitable[T]) -> T:
        """What this coroutine of aio-pika returns. Raises Unavailable, Invalid."""
        return await started(self._group, foreign)

    def forget(self, foreign: Awaitable[object]) -> None:
        """Have a coroutine of aio-pika run, whatever becomes of it."""
        _ = started(self._group, foreign)

    def send(self, crossing: Crossing, parcel: Parcel, *, must_arrive: bool = True) -> asyncio.Future[object]:
        """Send now; done when the broker has taken it for good. Fails with Unavailable, Invalid."""
        if self._publishing is None:
            raise Unavailable("the bus is not connected yet")
        properties = Basic.Properties(
            message_id=parcel.id,
            correlation_id=parcel.id,
            message_type=parcel.kind,
            user_id=self._user,  # the broker sees to it that it is true
            timestamp=datetime.now(UTC),
            expiration=None if parcel.good_for is None else str(int(parcel.good_for * 1000)),
            reply_to=parcel.reply_to,
            headers=parcel.headers,
            delivery_mode=_PERSISTENT if parcel.lasts else _TRANSIENT,
        )
        sent = self._publishing.basic_publish(
            parcel.body,
            exchange=crossing.exchange,
            routing_key=crossing.routing_key,
            properties=properties,
            mandatory=must_arrive,
        )
        return started(self._group, sent)

    def reply(self, address: str, parcel: Parcel) -> None:
        """Send to a caller's reply queue; if the caller has gone, so has the answer."""
        _ = self.send(Crossing(routes.REPLIES, address, address), parcel, must_arrive=False)

    def call(self, crossing: Crossing, parcel: Parcel) -> asyncio.Future[bytes]:
        """Send now; done with the answer. Fails with Unavailable, Invalid, also when the link is lost meanwhile."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda _: self._calls.pop(parcel.id, None))
        self._calls[parcel.id] = answer
        self.send(crossing, parcel).add_done_callback(lambda taken: fail(answer, taken.exception()))
        return answer

    def _channel_closed(self, why: str) -> None:
        self.lose(f"a channel was closed ({why})")

    async def _answered(self, message: DeliveredMessage) -> None:
        answer = self._calls.get(message.header.properties.correlation_id or "")
        if answer is not None and not answer.done():  # else it comes too late, and goes nowhere
            answer.set_result(message.body)

    async def _probe(self, channel: AbstractChannel) -> None:
        """Ask the broker for something now and then: a connection may be open and carry nothing."""
        try:
            while not (await asyncio.wait([self.lost], timeout=PROBE_EVERY))[0]:
                async with asyncio.timeout(PROBE_WITHIN):
                    await self.do(channel.set_qos(prefetch_count=0))
        except TimeoutError:
            self.lose(f"the broker has been silent for {PROBE_WITHIN:g} s")
        except MoorageError as error:
            self.lose(error.message)


_TRANSIENT, _PERSISTENT = 1, 2
_CLASSIC: dict[str, Any] = {"x-queue-type": "classic"}


async def _opened(connection: AbstractConnection, confirms: bool) -> AbstractChannel:
    channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
    await channel.initialize()
    return channel
