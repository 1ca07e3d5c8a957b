"""One server of a queue: what comes is handled side by side, and acknowledged when it is done."""

import asyncio
import contextvars
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from moorage.adapters.rabbitmq import routes
from moorage.adapters.rabbitmq.foreign import Unroutable
from moorage.adapters.rabbitmq.link import Link, Parcel
from moorage.adapters.rabbitmq.settings import host_of
from moorage.domain.errors import Forbidden, MoorageError, NotFound, Unavailable
from moorage.domain.hops import Crossing
from moorage.seams.bus import MOST_FAILURES, Handler, delay_before
from moorage.wire.claims import require_own
from moorage.wire.crossings import note_handled
from moorage.wire.failures import failed, internal
from moorage.wire.messages import Envelope, Failed, Message, decode, encode

log = structlog.get_logger(__name__)

CONSUME_WITHIN = 3.0  # seconds
MOST_DEATHS = 10  # deliveries after which no server was left to acknowledge


@dataclass(frozen=True)
class Delivery:
    """A message in hand; until it is acknowledged it belongs to the queue, which has it back once `over` is done."""

    link: Link
    channel: AbstractChannel
    over: asyncio.Future[str]
    message: DeliveredMessage
    crossing: Crossing

    @property
    def about(self) -> Basic.Properties:
        return self.message.header.properties

    @property
    def is_call(self) -> bool:
        return self.about.reply_to is not None

    @property
    def deaths(self) -> int:
        return int(str((self.about.headers or {}).get("x-delivery-count", 0)))

    def done(self) -> None:
        if not self.over.done():
            assert self.message.delivery_tag is not None
            self.link.forget(self.channel.basic_ack(self.message.delivery_tag, wait=False))

    def answer(self, reply: bytes) -> None:
        """To the caller; then the message is done. A caller that has no reply queue of its own gets none."""
        address = self.about.reply_to or ""
        if address.startswith("reply.") and not self.over.done():
            self.link.reply(address, Parcel(reply, "", id=self.about.correlation_id or ""))
        self.done()

    async def set_aside(self, why: str) -> None:
        """Kept for people to look at, and then done. Raises Unavailable."""
        about = self.about
        log.error("a message was set aside", queue=self.crossing.queue, message=about.message_type, why=why)
        headers: dict[str, Any] = {
            "moorage-why": why[:1000],
            "moorage-queue": self.crossing.queue,
            "moorage-sent": about.timestamp,
            "moorage-from": about.user_id or "",
        }
        kept = Parcel(self.message.body, about.message_type or "", lasts=True, headers=headers)
        await self.link.send(Crossing(routes.DEAD, routes.DEAD, routes.DEAD), kept)
        self.done()


@dataclass(frozen=True)
class Ways:
    """`size` messages may wait in the queue, `at_once` are handled side by side.

    For about a second after RabbitMQ (3.10) has made a quorum queue, a SIGKILL makes it forget that queue's messages
    and never elect it a leader again. So nothing may come to a new queue for `settle` seconds; and one that gives
    nothing out, and that no message can have come to, is deleted and made anew.
    """

    size: int
    at_once: int
    settle: float


class Serving:
    """Handlers belong to `group` and bear what was bound to the log lines of whoever serves."""

    def __init__(self, queue: str, handler: Handler, ways: Ways, group: asyncio.TaskGroup) -> None:
        self.queue = queue
        self._crossing = routes.crossing_of(queue)
        self._handler = handler
        self._ways = ways
        self._free = asyncio.Semaphore(ways.at_once)  # what a lost link has brought may still be in hand
        self._group = group
        self._context = contextvars.copy_context()
        self._is_ending = False
        self.is_served = False  # what is sent to the queue comes to us

    def end(self) -> None:
        """Take nothing more; what is in hand is given back by whoever cancels the group."""
        self._is_ending = True

    async def until_over(self, link: Link) -> None:
        """Take what comes over this link while it lasts.

        Raises Unavailable, NotFound, Invalid: the queue cannot be served, or not any more.
        """
        over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def end(why: str) -> None:
            if not over.done():
                over.set_result(why)

        async def take(message: DeliveredMessage) -> None:
            if not self._is_ending and not over.done():
                delivery = Delivery(link, under, over, message, self._crossing)
                self._start(self._work(delivery), delivery)

        link.lost.add_done_callback(lambda lost: end(lost.result()))
        await self._made(link)
        channel = await link.channel(end)
        try:
            under = await link.do(channel.get_underlay_channel())
            under.on_consumer_cancel_callbacks.add(lambda _: end("the queue was deleted"))
            await link.do(channel.set_qos(prefetch_count=self._ways.at_once))
            try:
                async with asyncio.timeout(CONSUME_WITHIN):
                    await link.do(under.basic_consume(self.queue, take))
            except TimeoutError:
                await self._unmade(link)
                raise Unavailable("the queue gives nothing out") from None
            await link.do(under.queue_bind(self.queue, self._crossing.exchange, self._crossing.routing_key))
            self.is_served = True
            await asyncio.wait([over])
        finally:
            self.is_served = False
            end("no longer served")
            link.forget(channel.close())  # what is in hand goes back to the queue
        if not link.lost.done():
            raise Unavailable(over.result())

    async def _made(self, link: Link) -> None:
        """The queue is there; one that is new has settled, and is not bound yet."""
        arguments = routes.arguments_of(self.queue, self._ways.size)
        channel = await link.channel(_unwatched)
        try:
            await link.do(channel.declare_queue(self.queue, passive=True))
            await link.do(channel.declare_queue(self.queue, durable=True, arguments=arguments))
            link.forget(channel.close())
        except NotFound:  # which has closed the channel
            channel = await link.channel(_unwatched)
            await link.do(channel.declare_queue(self.queue, durable=True, arguments=arguments))
            link.forget(channel.close())
            if routes.is_replicated(self.queue):
                await asyncio.sleep(self._ways.settle)

    async def _unmade(self, link: Link) -> None:
        """The queue is deleted, if it is not bound. One that is bound may have something in it: it is left alone."""
        try:
            await link.send(self._crossing, Parcel(b"", "nothing", good_for=0.0))
        except Unroutable:
            log.warning("a queue that has lost itself is made anew", queue=self.queue)
            channel = await link.channel(_unwatched)
            await link.do(channel.queue_delete(self.queue))
            link.forget(channel.close())

    def _start(self, work: Coroutine[Any, Any, None], delivery: Delivery) -> None:
        task = self._group.create_task(work, context=self._context.copy())
        task.add_done_callback(lambda ended: self._ended(ended, delivery))

    def _ended(self, task: "asyncio.Task[None]", delivery: Delivery) -> None:
        """A handler that cancels itself is a bug of its own, and no reason to leave its message undone."""
        if not task.cancelled() or self._is_ending or delivery.over.done():
            return
        log.error("a handler was cancelled", queue=self.queue)
        if delivery.is_call:
            delivery.answer(_sealed(internal("cancelled")))
        else:
            self._start(self._set_aside(delivery, "its handler cancelled itself"), delivery)

    async def _work(self, delivery: Delivery) -> None:
        async with self._free:
            try:
                envelope = decode(delivery.message.body)
                _require_honest(delivery.about.user_id, envelope.body)
            except (msgspec.DecodeError, Forbidden) as error:
                log.warning("a message was refused", queue=self.queue, by=delivery.about.user_id, error=str(error))
                if delivery.is_call:
                    delivery.answer(_sealed(failed(error)))
                else:
                    await self._set_aside(delivery, f"refused: {error}")
                return
            note_handled(delivery.crossing)
            with structlog.contextvars.bound_contextvars(request_id=envelope.request_id):
                if delivery.is_call:
                    delivery.answer(await self._answer_to(envelope.body))
                elif delivery.deaths >= MOST_DEATHS:
                    await self._set_aside(delivery, f"{delivery.deaths} servers ended before they had done with it")
                else:
                    await self._until_done(delivery, envelope.body)

    async def _answer_to(self, message: Message) -> bytes:
        name = type(message).__name__
        try:
            reply = await self._handler(message)
            return _sealed(reply or Failed(error="Invalid", kind="", message=f"nobody answers {name}"))
        except MoorageError as error:
            return _sealed(failed(error))
        except Exception as error:
            log.exception("a handler failed", message=name)
            return _sealed(failed(error))

    async def _until_done(self, delivery: Delivery, message: Message) -> None:
        """Handle a cast: again while its handler is Unavailable, and a few times when it fails otherwise."""
        name, tries, failures = type(message).__name__, 0, 0
        while not delivery.over.done():  # afterwards it comes again, here or elsewhere
            try:
                await self._handler(message)
                break
            except Unavailable as error:
                log.info("a message comes again", message=name, error=str(error))
            except MoorageError as error:
                log.warning("a message could not be handled", message=name, error=str(error))
                break
            except Exception as error:
                log.exception("a handler failed", message=name)
                failures += 1
                if failures == MOST_FAILURES:
                    await self._set_aside(delivery, f"its handler failed {failures} times: {error!r}")
                    return
            await asyncio.sleep(delay_before(tries := tries + 1))
        delivery.done()

    async def _set_aside(self, delivery: Delivery, why: str) -> None:
        while not delivery.over.done():
            try:
                await delivery.set_aside(why)
            except Unavailable as error:
                log.warning("a message could not be set aside; trying again", error=str(error))
                await asyncio.sleep(delay_before(10))
            else:
                return


def _unwatched(_why: str) -> None:
    """A channel of which nobody need know that it ends."""


def _sealed(reply: Message) -> bytes:
    return encode(Envelope(body=reply))


def _require_honest(user: str | None, message: Message) -> None:
    """The broker lets nobody but `user` send in the name of `user`; nor do we. Raises Forbidden."""
    if not user:
        raise Forbidden("it does not say who sends it")
    host = host_of(user)
    if host is not None:
        require_own(message, host)
