"""Dead letters on RabbitMQ: a queue of them, looked at over a connection of one's own, and put back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from moorage.adapters.rabbitmq import routes
from moorage.adapters.rabbitmq.connecting import connect
from moorage.adapters.rabbitmq.foreign import started
from moorage.adapters.rabbitmq.link import Link, Parcel
from moorage.adapters.rabbitmq.settings import RabbitSettings, host_of
from moorage.domain.errors import Forbidden, NotFound
from moorage.seams.dead_letters import DeadLetter

T = TypeVar("T")

_START = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class RabbitDeadLetters:
    """Fulfils seams/dead_letters.py. Who looks sees none that another is looking at in the same moment."""

    settings: RabbitSettings

    async def list(self, *, most: int = 1000) -> Sequence[DeadLetter]:
        async def work(link: Link, channel: AbstractChannel) -> Sequence[DeadLetter]:
            return [_letter(message) async for message in _taken(link, channel, most)]

        return await self._connected(work)

    async def send_again(self, letter: str) -> None:
        async def work(link: Link, channel: AbstractChannel) -> None:
            message = await _found(link, channel, letter)
            found = _letter(message)
            _require_his(found)
            parcel = Parcel(found.body, found.kind, lasts=True, good_for=routes.LONGEST)
            await link.send(routes.crossing_of(found.queue), parcel)
            await _done(link, channel, message)

        await self._connected(work)

    async def drop(self, letter: str) -> None:
        async def work(link: Link, channel: AbstractChannel) -> None:
            await _done(link, channel, await _found(link, channel, letter))

        await self._connected(work)

    async def _connected(self, work: Callable[[Link, AbstractChannel], Awaitable[T]]) -> T:
        """What `work` returns. What it has taken and not acknowledged is back afterwards."""
        async with asyncio.TaskGroup() as group:
            done = started(group, self._at_hand(work, group))
            await asyncio.wait([done])
        return done.result()

    async def _at_hand(self, work: Callable[[Link, AbstractChannel], Awaitable[T]], group: asyncio.TaskGroup) -> T:
        connected = await connect(self.settings, self.settings.ssl_context())
        link = Link(connected.connection, self.settings.user, group)
        try:
            await link.open()
            channel = await link.channel(link.lose)
            return await work(link, await link.do(channel.get_underlay_channel()))
        finally:
            link.lose("closed by us")
            await connected.close()


async def _taken(link: Link, channel: AbstractChannel, most: int) -> AsyncIterator[DeliveredMessage]:
    for _ in range(most):
        message = await link.do(channel.basic_get(routes.DEAD))
        if message.delivery_tag is None:  # empty
            return
        yield message


async def _found(link: Link, channel: AbstractChannel, letter: str) -> DeliveredMessage:
    async for message in _taken(link, channel, routes.MOST_DEAD):
        if message.header.properties.message_id == letter:
            return message
    raise NotFound(f"there is no dead letter {letter}")


async def _done(link: Link, channel: AbstractChannel, message: DeliveredMessage) -> None:
    assert message.delivery_tag is not None
    await link.do(channel.basic_ack(message.delivery_tag))


def _require_his(letter: DeadLetter) -> None:
    """Sent again in our name, a letter goes where its sender may have written nothing: hosts write to services."""
    if host_of(letter.sender) is not None and routes.crossing_of(letter.queue).exchange != routes.SERVICES:
        raise Forbidden(f"{letter.sender} may not send to {letter.queue}: drop it, and look at that host")


def _sender(about: Basic.Properties) -> str:
    """Who sent it first; but a host's user speaks for itself only, also when it sets something aside."""
    by = about.user_id or ""
    return by if host_of(by) is not None else str((about.headers or {}).get("moorage-from", ""))


def _letter(message: DeliveredMessage) -> DeadLetter:
    about = message.header.properties
    headers = about.headers or {}
    sent = headers.get("moorage-sent")
    return DeadLetter(
        id=about.message_id or "",
        queue=str(headers.get("moorage-queue", "")),
        kind=about.message_type or "",
        why=str(headers.get("moorage-why", "")),
        sender=_sender(about),
        sent_at=sent if isinstance(sent, datetime) else about.timestamp or _START,
        died_at=about.timestamp or _START,
        body=message.body,
    )
