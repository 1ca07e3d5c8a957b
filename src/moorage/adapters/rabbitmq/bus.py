"""The bus on RabbitMQ: one connection a process, made again for ever."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Never

import structlog

from moorage.adapters.rabbitmq import routes
from moorage.adapters.rabbitmq.connecting import Connected, connect
from moorage.adapters.rabbitmq.foreign import started
from moorage.adapters.rabbitmq.link import Link, Parcel
from moorage.adapters.rabbitmq.serving import Serving, Ways
from moorage.adapters.rabbitmq.settings import RabbitSettings
from moorage.domain.errors import Invalid, MoorageError, NotFound, Unavailable
from moorage.kit.log_context import request_id
from moorage.seams.bus import Handler
from moorage.wire.crossings import note_sent
from moorage.wire.failures import error_of
from moorage.wire.messages import Envelope, Failed, Message, decode, encode

log = structlog.get_logger(__name__)

TAKEN_WITHIN = 5.0  # seconds from a cast to the broker's word that it has it
FIRST_PAUSE = 0.05  # seconds until a lost connection is made again; doubles
LONGEST_PAUSE = 0.5  # seconds: a broker that is back, or a queue that has a leader again, is found in this time
SETTLE = 3.0  # seconds between a queue's making and its first message (serving.py says why)


@dataclass
class RabbitBus:
    """Give `run` to a supervisor: until it has connected, and while the broker is away, all is Unavailable."""

    settings: RabbitSettings
    size: int = 10_000  # messages that wait in a queue
    at_once: int = 200  # messages of one queue handled side by side
    settle: float = SETTLE  # seconds
    _link: Link | None = field(default=None, repr=False)
    _times: int = 0  # that it has connected
    _next: asyncio.Event = field(default_factory=asyncio.Event, repr=False)  # set at the next time
    _is_told: bool = False  # that it is lost
    _servings: list[Serving] = field(default_factory=list, repr=False)  # a queue may be there twice

    async def run(self) -> Never:
        """Keep connected until cancelled."""
        context = self.settings.ssl_context()
        async with asyncio.TaskGroup() as group:  # owns what links do, and connections that end beside the next one
            pause = FIRST_PAUSE
            while True:
                times = self._times
                try:
                    connected = await started(group, connect(self.settings, context))
                    await self._live(connected, group)
                except (Unavailable, NotFound, Invalid) as error:
                    self._say_lost(error.message)
                pause = FIRST_PAUSE if self._times > times else min(pause * 2, LONGEST_PAUSE)
                await asyncio.sleep(pause)
        raise AssertionError("a connection's loop ended")

    @property
    def is_connected(self) -> bool:
        return self._link is not None and not self._link.lost.done()

    def not_served(self) -> Sequence[str]:
        """The queues that shall be served, and are not just now: a new one has to settle."""
        return [serving.queue for serving in self._servings if not serving.is_served]

    async def connected(self) -> None:
        """Returns once there is a connection."""
        await self._linked()

    async def cast(self, queue: str, message: Message) -> None:
        crossing = routes.crossing_of(queue)
        good_for = routes.GOOD_FOR.get(type(message), routes.LONGEST)
        parcel = Parcel(_sealed(message), type(message).__name__, lasts=True, good_for=good_for)
        try:
            async with asyncio.timeout(TAKEN_WITHIN):
                await self._now().send(crossing, parcel)
        except TimeoutError:
            raise Unavailable(f"the bus has not taken {parcel.kind} for {queue} within {TAKEN_WITHIN:g} s") from None
        except MoorageError as error:  # whatever it is to the adapter, to who sends it is: not now
            raise Unavailable(f"{parcel.kind} for {queue}: {error.message}") from error
        note_sent(crossing)

    async def call(self, queue: str, message: Message, *, timeout: float = 10.0) -> Message:
        crossing, link, kind = routes.crossing_of(queue), self._now(), type(message).__name__
        parcel = Parcel(_sealed(message), kind, good_for=timeout, reply_to=link.reply_to)
        try:
            async with asyncio.timeout(timeout):
                raw = await link.call(crossing, parcel)
        except TimeoutError:
            raise Unavailable(f"{queue} did not answer {kind} within {timeout:g} s") from None
        except MoorageError as error:
            raise Unavailable(f"{kind} for {queue}: {error.message}") from error
        note_sent(crossing)
        body = decode(raw).body
        if isinstance(body, Failed):
            raise error_of(body)
        return body

    async def serve(self, queue: str, handler: Handler) -> Never:
        async with asyncio.TaskGroup() as group:
            own = Ways(size=self.size, at_once=self.at_once, settle=self.settle)
            serving = Serving(queue, handler, own, group)
            self._servings.append(serving)
            try:
                while True:
                    link = await self._linked()
                    try:
                        await serving.until_over(link)
                    except (Unavailable, NotFound, Invalid) as error:
                        if not link.lost.done():
                            log.warning("a queue is not served; trying again", queue=queue, error=error.message)
                            await asyncio.sleep(FIRST_PAUSE if isinstance(error, NotFound) else LONGEST_PAUSE)
            finally:
                self._servings.remove(serving)
                serving.end()
        raise AssertionError("a queue's loop ended")

    def reconnects(self) -> AsyncIterator[None]:
        return self._reconnected_after(max(1, self._times))

    async def _reconnected_after(self, seen: int) -> AsyncIterator[None]:
        while True:
            while self._times <= seen:
                await self._next.wait()
            seen = self._times
            yield

    async def _live(self, connected: Connected, group: asyncio.TaskGroup) -> None:
        """One connection until it is lost, or we are cancelled. Raises Unavailable, Invalid."""
        link = Link(connected.connection, self.settings.user, group)
        try:
            await link.open()
            self._up(link)
            await asyncio.wait([link.lost])
        except (Unavailable, NotFound, Invalid) as error:
            link.lose(error.message)
            raise
        finally:
            self._link = None
            if link.lost.done():
                connected.abort()
                group.create_task(connected.close())
            else:
                link.lose("closed by us")
                await connected.close()
        raise Unavailable(link.lost.result())

    def _up(self, link: Link) -> None:
        self._link = link
        self._times += 1
        came, self._next = self._next, asyncio.Event()
        came.set()
        log.info("the bus is there" if self._times == 1 else "the bus is back", broker=str(self.settings))
        self._is_told = False

    def _say_lost(self, why: str) -> None:
        """Once; while it stays away there is nothing new to say."""
        if not self._is_told:
            log.warning("the bus is lost; connecting again", broker=str(self.settings), why=why)
        self._is_told = True

    def _now(self) -> Link:
        if self._link is None or self._link.lost.done():
            raise Unavailable("the bus is lost" if self._times else "the bus is not connected yet")
        return self._link

    async def _linked(self) -> Link:
        while (link := self._link) is None or link.lost.done():
            await self._next.wait()
        return link


async def try_connecting(settings: RabbitSettings) -> None:
    """For who shall be told at once what is wrong. Raises Unavailable, Invalid."""
    async with asyncio.TaskGroup() as group:
        trying = started(group, connect(settings, settings.ssl_context()))
        await asyncio.wait([trying])
        if trying.exception() is None:
            await trying.result().close()
    trying.result()


def _sealed(message: Message) -> bytes:
    return encode(Envelope(body=message, request_id=request_id()))
